// The terminal as `tenure top` uses it: the whole of it, given back as it was. ncurses is known to this file alone.
//
// Not thread-safe; one at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "instruments/cli/top_view.h"

namespace tenure::cli {

class top_screen {
 public:
  // Null when the terminal is one that ncurses does not know.
  static std::unique_ptr<top_screen> open(bool uses_color);
  ~top_screen();
  top_screen(const top_screen&) = delete;
  top_screen& operator=(const top_screen&) = delete;

  std::size_t columns() const;
  std::size_t lines() const;
  bool is_unicode() const { return is_unicode_; }
  bool is_gone() const;  // nobody is at it any more
  void show(const std::vector<top_line>& picture);

  // What was pressed and is a key of ours; nothing when there is no more. A terminal that has changed its size, or
  // Ctrl-L, says that the picture is to be shown anew.
  struct input {
    std::optional<top_key> key;
    bool is_redraw = false;
  };
  std::optional<input> read();

 private:
  top_screen(void* screen, bool uses_color);
  void* screen_;
  bool uses_color_;
  bool is_unicode_;
};

// Whether the terminal's character set is UTF-8, by the environment. Sets the locale of characters, and no other.
bool has_unicode();

}  // namespace tenure::cli
