// Rust names. The older scheme borrows C++'s nested names and writes what they cannot hold as $..$; the newer one
// ("v0", RFC 2603) is a small grammar of its own:
//
//   symbol  _R path [crate]            path   C ident               crate root
//   path    N ns path ident  a::b      I path args E                a::<T>
//           M impl type      <T>       X impl type path / Y type path    <T as Trait>
//           B base62         what was written at that offset of the symbol
//
// What it prints is what people wrote: no crate hashes, no suffixes on constants.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "instruments/symbols/demangle.h"

namespace tenure::symbols {
namespace {

constexpr int grammar_depth_limit = 128;
constexpr std::size_t text_limit_bytes = 1 << 16;  // back references can make a short symbol endless

void append_utf8(std::string& to, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | (point >> 6)), put(0x80 | (point & 63));
  } else if (point < 0x10000) {
    put(0xe0 | (point >> 12)), put(0x80 | ((point >> 6) & 63)), put(0x80 | (point & 63));
  } else {
    put(0xf0 | (point >> 18)), put(0x80 | ((point >> 12) & 63)), put(0x80 | ((point >> 6) & 63)),
        put(0x80 | (point & 63));
  }
}

bool is_code_point(std::uint64_t point) { return point < 0x110000 && (point < 0xd800 || point > 0xdfff); }

// Punycode (RFC 3492), as Rust writes identifiers outside ASCII: "_" stands for the last "-".
std::optional<std::string> decode_punycode(std::string_view text) {
  std::u32string points;
  if (const std::size_t mark = text.rfind('_'); mark != std::string_view::npos) {
    for (const char c : text.substr(0, mark)) points += static_cast<char32_t>(c);
    text.remove_prefix(mark + 1);
  }
  std::uint64_t point = 128, at = 0, bias = 72;
  bool is_first = true;
  while (!text.empty()) {
    const std::uint64_t before = at;
    std::uint64_t weight = 1;
    for (std::uint64_t k = 36;; k += 36) {
      if (text.empty()) return std::nullopt;
      const char c = text.front();
      text.remove_prefix(1);
      const std::uint64_t digit = c >= 'a' && c <= 'z'   ? static_cast<std::uint64_t>(c - 'a')
                                  : c >= '0' && c <= '9' ? static_cast<std::uint64_t>(c - '0' + 26)
                                                         : 36;
      if (digit == 36 || weight > (1u << 30)) return std::nullopt;
      at += digit * weight;
      const std::uint64_t threshold = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
      if (digit < threshold) break;
      weight *= 36 - threshold;
    }
    const std::uint64_t count = points.size() + 1;
    std::uint64_t delta = (at - before) / (is_first ? 700 : 2);
    is_first = false;
    delta += delta / count;
    std::uint64_t k = 0;
    for (; delta > 455; k += 36) delta /= 35;
    bias = k + 36 * delta / (delta + 38);
    point += at / count;
    at %= count;
    if (!is_code_point(point)) return std::nullopt;
    points.insert(at++, 1, static_cast<char32_t>(point));
  }
  std::string result;
  for (const char32_t p : points) append_utf8(result, p);
  return result;
}

class v0_reader {
 public:
  explicit v0_reader(std::string_view text) : text_(text) {}

  std::optional<std::string> read() {
    path(true);
    // The crate that instantiated it follows; it is no part of the name.
    if (!failed_ && at_ < text_.size() && text_[at_] != '.' && text_[at_] != '$') {
      is_silent_ = true;
      path(false);
    }
    const bool at_end = at_ == text_.size() || text_[at_] == '.' || text_[at_] == '$';
    if (failed_ || !at_end) return std::nullopt;
    return std::move(out_);
  }

 private:
  struct identifier {
    std::uint64_t disambiguator = 0;
    std::string name;
  };

  struct deeper {
    explicit deeper(v0_reader& reader) : of(reader) {
      if (++of.depth_ > grammar_depth_limit) of.failed_ = true;
    }
    ~deeper() { --of.depth_; }
    v0_reader& of;
  };

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char take() {
    if (at_ < text_.size()) return text_[at_++];
    failed_ = true;
    return '\0';
  }
  bool accept(char c) {
    if (failed_ || peek() != c) return false;
    ++at_;
    return true;
  }
  void print(std::string_view text) {
    if (failed_ || is_silent_) return;
    if (out_.size() + text.size() > text_limit_bytes) failed_ = true;
    if (!failed_) out_ += text;
  }

  std::uint64_t base62() {
    if (accept('_')) return 0;
    std::uint64_t value = 0;
    while (!failed_ && !accept('_')) {
      const char c = take();
      std::uint64_t digit = 62;
      if (c >= '0' && c <= '9') digit = static_cast<std::uint64_t>(c - '0');
      if (c >= 'a' && c <= 'z') digit = static_cast<std::uint64_t>(c - 'a' + 10);
      if (c >= 'A' && c <= 'Z') digit = static_cast<std::uint64_t>(c - 'A' + 36);
      const bool overflows = __builtin_mul_overflow(value, 62, &value) || __builtin_add_overflow(value, digit, &value);
      if (digit == 62 || overflows) failed_ = true;
    }
    return value + 1;
  }

  std::uint64_t optional_base62(char tag) { return accept(tag) ? base62() + 1 : 0; }

  std::uint64_t decimal() {
    std::uint64_t value = 0;
    if (accept('0')) return 0;
    while (peek() >= '0' && peek() <= '9' && value < text_.size())
      value = value * 10 + static_cast<unsigned>(take() - '0');
    return value;
  }

  identifier undisambiguated() {
    identifier result;
    const bool is_punycode = accept('u');
    if (peek() < '0' || peek() > '9') failed_ = true;
    const std::uint64_t length = decimal();
    accept('_');
    if (failed_ || length > text_.size() - at_) return failed_ = true, result;
    result.name = text_.substr(at_, length);
    at_ += length;
    if (is_punycode) {
      const std::optional<std::string> decoded = decode_punycode(result.name);
      if (!decoded) failed_ = true;
      result.name = decoded.value_or("");
    }
    return result;
  }

  identifier ident() {
    const std::uint64_t disambiguator = optional_base62('s');
    identifier result = undisambiguated();
    result.disambiguator = disambiguator;
    return result;
  }

  // Reads at an earlier offset of the symbol and comes back.
  template <typename Read>
  void back_reference(Read read) {
    const std::size_t tag_at = at_ - 1;
    const std::uint64_t target = base62();
    if (target >= tag_at) failed_ = true;
    if (failed_ || is_silent_) return;
    const std::size_t resume = std::exchange(at_, target);
    read();
    at_ = resume;
  }

  void path(bool in_value) {
    const deeper guard(*this);
    if (failed_) return;
    switch (const char tag = take()) {
      case 'C':
        print(ident().name);
        break;
      case 'N':
        nested(in_value);
        break;
      case 'M':
      case 'X':
        optional_base62('s');
        silently([&] { path(false); });
        as_trait(tag == 'X');
        break;
      case 'Y':
        as_trait(true);
        break;
      case 'I':
        path(in_value);
        print(in_value ? "::<" : "<");
        list([&] { generic_argument(); });
        print(">");
        break;
      case 'B':
        back_reference([&] { path(in_value); });
        break;
      default:
        failed_ = true;
    }
  }

  void nested(bool in_value) {
    const char space = take();
    path(in_value);
    const identifier name = ident();
    if (space >= 'A' && space <= 'Z') {
      print("::{");
      print(space == 'C' ? "closure" : space == 'S' ? "shim" : std::string_view(&space, 1));
      if (!name.name.empty()) print(":" + name.name);
      print("#" + std::to_string(name.disambiguator) + "}");
    } else if (space >= 'a' && space <= 'z') {
      if (!name.name.empty()) print("::" + name.name);
    } else {
      failed_ = true;
    }
  }

  void as_trait(bool has_trait) {
    print("<");
    type();
    if (has_trait) {
      print(" as ");
      path(false);
    }
    print(">");
  }

  template <typename Read>
  void silently(Read read) {
    const bool before = std::exchange(is_silent_, true);
    read();
    is_silent_ = before;
  }

  // Items up to "E", with commas between them. Returns how many.
  template <typename Read>
  int list(Read read) {
    int count = 0;
    for (; !failed_ && !accept('E'); ++count) {
      if (count > 0) print(", ");
      read();
    }
    return count;
  }

  void generic_argument() {
    if (accept('L')) return lifetime(base62());
    if (accept('K')) return constant();
    type();
  }

  void lifetime(std::uint64_t index) {
    if (index == 0) return print("'_");
    if (index > bound_lifetimes_) return failed_ = true, void();
    const std::uint64_t number = bound_lifetimes_ - index;
    if (number < 26) {
      const char name[] = {'\'', static_cast<char>('a' + number)};
      print({name, 2});
    } else {
      print("'_" + std::to_string(number));
    }
  }

  // "for<'a, 'b> " before what the lifetimes are bound in.
  template <typename Read>
  void binder(Read read) {
    const std::uint64_t count = optional_base62('G');
    if (count > 256) failed_ = true;
    if (failed_) return;
    if (count > 0) {
      print("for<");
      for (std::uint64_t i = 0; i < count; ++i) {
        if (i > 0) print(", ");
        ++bound_lifetimes_;
        lifetime(1);
      }
      print("> ");
    }
    read();
    bound_lifetimes_ -= count;
  }

  static std::string_view basic_type(char tag) {
    static constexpr std::array<std::string_view, 26> names = {
        "i8",   "bool", "char", "f64", "str", "f32", "",    "u8", "isize", "usize", "",    "i32", "u32",
        "i128", "u128", "_",    "",    "",    "i16", "u16", "()", "...",   "",      "i64", "u64", "!"};
    return tag >= 'a' && tag <= 'z' ? names[static_cast<std::size_t>(tag - 'a')] : std::string_view();
  }

  void type() {
    const deeper guard(*this);
    if (failed_) return;
    if (const std::string_view basic = basic_type(peek()); !basic.empty()) {
      take();
      return print(basic);
    }
    switch (const char tag = take()) {
      case 'R':
      case 'Q':
        print("&");
        if (accept('L')) {
          if (const std::uint64_t index = base62(); index != 0) lifetime(index), print(" ");
        }
        if (tag == 'Q') print("mut ");
        return type();
      case 'P':
        return print("*const "), type();
      case 'O':
        return print("*mut "), type();
      case 'A':
      case 'S':
        print("[");
        type();
        if (tag == 'A') print("; "), constant();
        return print("]");
      case 'T':
        print("(");
        if (list([&] { type(); }) == 1) print(",");
        return print(")");
      case 'F':
        return binder([&] { function_type(); });
      case 'D':
        print("dyn ");
        binder([&] { bounds(); });
        if (!accept('L')) return failed_ = true, void();
        if (const std::uint64_t index = base62(); index != 0) print(" + "), lifetime(index);
        return;
      case 'B':
        return back_reference([&] { type(); });
      default:
        --at_;
        return path(false);
    }
  }

  void function_type() {
    if (accept('U')) print("unsafe ");
    if (accept('K')) {
      print("extern \"");
      if (accept('C')) {
        print("C");
      } else {
        std::string abi = undisambiguated().name;
        for (char& c : abi) c = c == '_' ? '-' : c;
        print(abi);
      }
      print("\" ");
    }
    print("fn(");
    list([&] { type(); });
    print(")");
    if (accept('u')) return;  // returns ()
    print(" -> ");
    type();
  }

  void bounds() {
    for (int count = 0; !failed_ && !accept('E'); ++count) {
      if (count > 0) print(" + ");
      bool is_open = open_path();
      while (accept('p')) {
        print(is_open ? ", " : "<");
        is_open = true;
        print(undisambiguated().name + " = ");
        type();
      }
      if (is_open) print(">");
    }
  }

  // A trait's path whose generic arguments are left open, so that associated types can be put among them.
  bool open_path() {
    const deeper guard(*this);
    bool is_open = false;
    if (accept('B')) {
      back_reference([&] { is_open = open_path(); });
    } else if (accept('I')) {
      path(false);
      print("<");
      list([&] { generic_argument(); });
      is_open = true;
    } else {
      path(false);
    }
    return is_open;
  }

  std::string_view hexadecimal() {
    const std::size_t begin = at_;
    while ((peek() >= '0' && peek() <= '9') || (peek() >= 'a' && peek() <= 'f')) ++at_;
    const std::string_view digits = text_.substr(begin, at_ - begin);
    if (!accept('_')) failed_ = true;
    return digits;
  }

  void constant() {
    const deeper guard(*this);
    if (failed_) return;
    const char tag = take();
    if (tag == 'B') return back_reference([&] { constant(); });
    if (tag == 'p') return print("_");
    if (basic_type(tag).empty()) return failed_ = true, void();
    if (std::string_view("aslxni").find(tag) != std::string_view::npos && accept('n')) print("-");
    const std::string_view digits = hexadecimal();
    if (failed_) return;
    if (digits.size() > 16) return print("0x" + std::string(digits));
    const std::uint64_t value = digits.empty() ? 0 : std::strtoull(std::string(digits).c_str(), nullptr, 16);
    if (tag == 'b') return print(value == 0 ? "false" : "true");
    if (tag != 'c') return print(std::to_string(value));
    if (!is_code_point(value)) return failed_ = true, void();
    std::string text = "'";
    if (value == '\'' || value == '\\') text += '\\';
    append_utf8(text, static_cast<std::uint32_t>(value));
    print(text + "'");
  }

  std::string_view text_;
  std::string out_;
  std::size_t at_ = 0;
  std::uint64_t bound_lifetimes_ = 0;
  int depth_ = 0;
  bool failed_ = false;
  bool is_silent_ = false;
};

// One component of the older scheme: "$LT$" and its like, ".." for "::".
std::string unescape(std::string_view text) {
  struct escape {
    std::string_view code, text;
  };
  static constexpr std::array<escape, 8> escapes = {{{"$SP$", "@"},
                                                     {"$BP$", "*"},
                                                     {"$RF$", "&"},
                                                     {"$LT$", "<"},
                                                     {"$GT$", ">"},
                                                     {"$LP$", "("},
                                                     {"$RP$", ")"},
                                                     {"$C$", ","}}};
  std::string result;
  if (text.starts_with("_$")) text.remove_prefix(1);
  while (!text.empty()) {
    std::size_t taken = 1;
    bool is_known = false;
    for (const escape& e : escapes) {
      if (!text.starts_with(e.code)) continue;
      result += e.text;
      taken = e.code.size();
      is_known = true;
    }
    if (!is_known && text.starts_with("$u")) {
      const std::size_t end = text.find('$', 2);
      char* stop = nullptr;
      const std::string digits(text.substr(2, end == std::string_view::npos ? 0 : end - 2));
      const std::uint64_t point = std::strtoull(digits.c_str(), &stop, 16);
      if (!digits.empty() && digits.size() <= 6 && *stop == '\0' && is_code_point(point)) {
        append_utf8(result, static_cast<std::uint32_t>(point));
        taken = end + 1;
        is_known = true;
      }
    }
    if (!is_known && text.starts_with("..")) {
      result += "::";
      taken = 2;
    } else if (!is_known) {
      result += text.front();
    }
    text.remove_prefix(taken);
  }
  return result;
}

bool is_hash(std::string_view part) {
  return part.size() == 17 && part.front() == 'h' && part.find_first_not_of("0123456789abcdef", 1) == part.npos;
}

std::optional<std::string> demangle_legacy(std::string_view name) {
  std::string result;
  std::string_view last;
  name.remove_prefix(3);  // _ZN
  while (!name.empty() && name.front() != 'E') {
    std::size_t length = 0, digits = 0;
    while (digits < name.size() && digits < 6 && name[digits] >= '0' && name[digits] <= '9') {
      length = length * 10 + static_cast<std::size_t>(name[digits++] - '0');
    }
    if (digits == 0 || length == 0 || length > name.size() - digits) return std::nullopt;
    if (!last.empty()) result += (result.empty() ? "" : "::") + unescape(last);
    last = name.substr(digits, length);
    name.remove_prefix(digits + length);
  }
  const bool at_end = name == "E" || name.starts_with("E.");
  if (!at_end || !is_hash(last) || result.empty()) return std::nullopt;
  return result;
}

}  // namespace

std::optional<std::string> demangle_rust(std::string_view name) {
  if (name.starts_with("_ZN")) return demangle_legacy(name);
  // A digit would be a later version of the grammar.
  if (!name.starts_with("_R") || name.size() < 3 || name[2] < 'A' || name[2] > 'Z') return std::nullopt;
  return v0_reader(name.substr(2)).read();
}

}  // namespace tenure::symbols
