#include "instruments/symbols/demangle.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

namespace tenure::symbols {

bool is_mangled(std::string_view name) { return name.starts_with("_Z") || name.starts_with("_R"); }

std::string demangle(const std::string& name) {
  if (!is_mangled(name)) return name;
  if (std::optional<std::string> rust = demangle_rust(name)) return *rust;
  int status = 0;
  struct freer {
    void operator()(char* text) const { std::free(text); }
  };
  const std::unique_ptr<char, freer> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status));
  return status == 0 ? text.get() : name;
}

}  // namespace tenure::symbols
