// Options that several commands have, in the words in which each has them.
#pragma once

#include "instruments/cli/command_table.h"

namespace tenure::cli {

inline constexpr option_entry debuginfod_option{
    .name = "debuginfod", .summary = "Fetches missing debug files from $DEBUGINFOD_URLS, which may take long."};

inline constexpr option_entry json_option{.name = "json", .summary = "Writes JSON instead of text."};

inline constexpr option_entry output_option{.name = "output",
                                            .letter = 'o',
                                            .kind = value_kind::file,
                                            .value_name = "FILE",
                                            .summary = "Writes the answer to FILE instead of standard output."};

// Of commands that also take CMD, whose standard output is its own.
inline constexpr option_entry output_beside_option{
    .name = "output",
    .letter = 'o',
    .kind = value_kind::file,
    .value_name = "FILE",
    .summary = "Writes the answer to FILE instead of standard output, or of standard error beside CMD."};

inline constexpr option_entry all_processes_option{.name = "all",
                                                   .summary = "Shows small processes too, not only those that matter."};

inline constexpr option_entry wait_option{
    .name = "wait",
    .kind = value_kind::time,
    .value_name = "DURATION",
    .summary = "How long process PID may take to hear that it is asked; 10s by default."};

inline constexpr option_entry kept_recording_option{
    .name = "recording",
    .kind = value_kind::file,
    .value_name = "FILE",
    .summary = "Keeps the recording of CMD in FILE, for `tenure report` and `tenure lifetimes`."};

inline constexpr option_entry free_stacks_option{
    .name = "free-stacks",
    .summary =
        "Records where each block is freed, too: `tenure lifetimes` then says which function frees what another has "
        "allocated. A free then costs the program as much as an allocation."};

inline constexpr option_entry preload_option{
    .name = "preload",
    .kind = value_kind::file,
    .value_name = "FILE",
    .summary = "The heap to put under CMD, instead of the one that was installed with the command."};

}  // namespace tenure::cli
