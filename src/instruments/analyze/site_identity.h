// Site identity: what a call site is called in every build of a program.
//
// Addresses, build ids and lines move with each build; names stay. A site is the chain of functions from its user frame
// outward, inlined ones among them, each with the module it lies in:
//
//   frame      libshop.so.4.2+0x1f3a0  shop::cart::add [clone .constprop.0]   cart.cc:41
//   identity   libshop.so!shop::cart::add
//
// Of a library's name the version is left out, of a function's what the compiler has made of it (.constprop.0, .part.1,
// .isra.2, .cold), and the program itself has no name at all: it may be called app and app-new. Functions without a
// name are one, whatever their address: module!?. File and line are kept for people and are no part of the identity.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "instruments/analyze/exact.h"
#include "instruments/analyze/suppressions.h"

namespace tenure::analyze {

std::string function_identity(std::string_view function);
std::string module_identity(std::string_view path, std::string_view executable);

// Of one stack, from the user frame outward: "libshop.so!shop::cart::add". Never empty.
std::vector<std::string> site_identity(const process_profile& process, frame_resolver& frames, std::uint32_t stack);

struct site_figures {
  std::vector<std::string> frames;  // the identity
  std::string place;                // "cart.cc:41", of the user frame, or empty
  exact_amount allocated;
  exact_amount at_moment;
  exact_amount left;

  site_figures& operator+=(const site_figures& other) {
    allocated += other.allocated;
    at_moment += other.at_moment;
    left += other.left;
    return *this;
  }
};

// One recording by its sites: those of the same identity together, over all its processes.
struct run_figures {
  std::map<std::vector<std::string>, site_figures> by_site;
  site_figures totals;
  exact_amount peak;                                // the sum of the processes' own; with peak_of_one, the greatest
  exact_amount suppressed;                          // was never freed and is not among `left`
  bool is_whole = true;                             // the recording is neither cut off nor damaged
  bool is_exact = true;                             // and nothing was lost
  bool is_shortened = false;                        // its beginning was dropped (--max-size, --last)
  std::optional<collect::recording_source> source;  // it was imported
  std::size_t process_count = 0;
  std::vector<std::string> notes;  // of the run: programs that were not recorded and the like
};

struct figure_options {
  // What was held at the moment is that of the process that held most at its peak, not of all together.
  bool peak_of_one = false;
  const suppressions* suppressed = nullptr;  // what of the blocks never freed is left out
};

run_figures figures_of(exact_report& report, symbols::symbolizer& symbolizer, const figure_options& options = {});

// By user frame: what a function allocated, whoever called it.
std::map<std::vector<std::string>, site_figures> by_function(const run_figures& run);

}  // namespace tenure::analyze
