// Words as symbols that are compared as addresses; labels that go when nobody has them; styles that are kept once.
#include <chrono>
#include <cstdio>
#include <string>

#include <tenure/flyweight.hpp>
#include <tenure/interner.hpp>

struct style {
  std::string font;
  int size = 10;
  bool operator==(const style&) const = default;
};
struct style_hash {
  std::size_t operator()(const style& of) const noexcept {
    return std::hash<std::string>()(of.font) ^ static_cast<std::size_t>(of.size);
  }
};

int main() {
  tenure::interner words({.name = "words"});
  const tenure::symbol let = words.intern("let");
  std::string token = "le";
  token += 't';
  const bool is_same = words.intern(token) == let;

  tenure::counted_interner labels({.name = "labels", .grace = std::chrono::seconds(10)});
  auto label = labels.intern("host=alpha");
  label = tenure::counted_symbol();
  const bool is_kept = static_cast<bool>(labels.find("host=alpha"));  // for ten seconds

  using shared_style = tenure::flyweight<style, style_hash>;
  const shared_style heading(style{"Sans", 20});
  const shared_style also(style{"Sans", 20});
  std::printf("%llu word, %llu label, %llu style\n", static_cast<unsigned long long>(words.statistics().strings),
              static_cast<unsigned long long>(labels.statistics().strings),
              static_cast<unsigned long long>(shared_style::statistics().values));
  return is_same && is_kept && heading == also ? 0 : 1;
}
