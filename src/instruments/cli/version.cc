#include "instruments/cli/version.h"

#include "revision.h"

namespace tenure::cli {

std::string version_number() { return TENURE_VERSION; }

std::string build_flavour() {
  std::string text = TENURE_BUILD_TYPE;
  if (text.empty()) text = "no build type";
  const std::string sanitizer = TENURE_BUILD_SANITIZER;
  return sanitizer.empty() ? text : text + ", " + sanitizer + " sanitizer";
}

std::string revision() { return TENURE_REVISION; }

std::string version_text() {
  std::string text = "tenure " + version_number() + " (" + build_flavour();
  if (!revision().empty()) text += ", revision " + revision();
  return text + ", gcc " + __VERSION__ + ")\n";
}

}  // namespace tenure::cli
