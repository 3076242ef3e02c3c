#include "instruments/cli/top_screen.h"

#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <string_view>

#define NCURSES_NOMACROS 1
#include <ncurses.h>

namespace tenure::cli {
namespace {

constexpr int control_c = 'C' & 0x1f;
constexpr int control_l = 'L' & 0x1f;
constexpr int control_backslash = '\\' & 0x1f;
enum : short { pair_good = 1, pair_warning = 2 };

attr_t attributes_of(top_style style, bool uses_color) {
  switch (style) {
    case top_style::plain:
      return A_NORMAL;
    case top_style::bold:
      return A_BOLD;
    case top_style::dim:
      return A_DIM;
    case top_style::good:
      return uses_color ? static_cast<attr_t>(COLOR_PAIR(pair_good)) : A_NORMAL;
    case top_style::warning:
      return A_BOLD | (uses_color ? static_cast<attr_t>(COLOR_PAIR(pair_warning)) : A_NORMAL);
    case top_style::chosen:
      return A_REVERSE;
  }
  return A_NORMAL;
}

std::optional<top_key> key_of(int code) {
  switch (code) {
    case KEY_UP:
      return top_key{top_key::up};
    case KEY_DOWN:
      return top_key{top_key::down};
    case KEY_LEFT:
      return top_key{top_key::left};
    case KEY_RIGHT:
      return top_key{top_key::right};
    case KEY_PPAGE:
      return top_key{top_key::page_up};
    case KEY_NPAGE:
      return top_key{top_key::page_down};
    case KEY_HOME:
      return top_key{top_key::home};
    case KEY_END:
      return top_key{top_key::end};
    case KEY_ENTER:
    case '\n':
    case '\r':
      return top_key{top_key::enter};
    case KEY_BACKSPACE:
    case '\b':
    case 0x7f:
      return top_key{top_key::backspace};
    case '\t':
      return top_key{top_key::tab};
    case 0x1b:
      return top_key{top_key::escape};
    case control_c:
    case control_backslash:
      return top_key{top_key::interrupt};
    default:
      break;
  }
  if (code < ' ' || code > '~') return std::nullopt;
  return top_key{top_key::character, static_cast<char>(code)};
}

}  // namespace

bool has_unicode() {
  std::setlocale(LC_CTYPE, "");
  return std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
}

std::unique_ptr<top_screen> top_screen::open(bool uses_color) {
  const bool is_unicode = has_unicode();  // before ncurses asks for it
  SCREEN* const screen = ::newterm(nullptr, stdout, stdin);
  if (screen == nullptr) return nullptr;
  std::unique_ptr<top_screen> made(new top_screen(screen, uses_color));
  made->is_unicode_ = is_unicode;
  return made;
}

top_screen::top_screen(void* screen, bool uses_color)
    : screen_(screen), uses_color_(uses_color && ::has_colors()), is_unicode_(false) {
  ::raw();  // what would be a signal is a key: the terminal is given back first
  ::noecho();
  ::curs_set(0);
  ::keypad(stdscr, true);
  ::nodelay(stdscr, true);
  ::set_escdelay(25);
  if (!uses_color_) return;
  ::start_color();
  ::use_default_colors();
  ::init_pair(pair_good, COLOR_GREEN, -1);
  ::init_pair(pair_warning, COLOR_YELLOW, -1);
}

top_screen::~top_screen() {
  ::endwin();
  ::delscreen(static_cast<SCREEN*>(screen_));
}

std::size_t top_screen::columns() const { return static_cast<std::size_t>(::getmaxx(stdscr)); }
std::size_t top_screen::lines() const { return static_cast<std::size_t>(::getmaxy(stdscr)); }

bool top_screen::is_gone() const {
  pollfd keys{STDIN_FILENO, POLLIN, 0};
  return ::poll(&keys, 1, 0) > 0 && (keys.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

void top_screen::show(const std::vector<top_line>& picture) {
  ::werase(stdscr);
  for (std::size_t line = 0; line < picture.size() && line < lines(); ++line) {
    ::wmove(stdscr, static_cast<int>(line), 0);
    for (const top_text& one : picture[line]) {
      ::wattrset(stdscr, static_cast<int>(attributes_of(one.style, uses_color_)));
      ::waddnstr(stdscr, one.text.c_str(), static_cast<int>(one.text.size()));
    }
  }
  ::wattrset(stdscr, A_NORMAL);
  ::wrefresh(stdscr);
}

std::optional<top_screen::input> top_screen::read() {
  const int code = ::wgetch(stdscr);
  if (code == ERR) return std::nullopt;
  if (code == control_l) ::clearok(stdscr, true);
  if (code == control_l || code == KEY_RESIZE) return input{.key = std::nullopt, .is_redraw = true};
  return input{.key = key_of(code), .is_redraw = false};
}

}  // namespace tenure::cli
