// The part of the command table that is about recordings: options, examples and exit codes.
#pragma once

#include <array>

#include "instruments/cli/selection_options.h"

namespace tenure::cli {

inline constexpr auto options_of_report = with_selection(std::array<option_entry, 7>{{
    {.name = "output",
     .letter = 'o',
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Writes the report to FILE instead of standard output."},
    {.name = "json", .summary = "Writes the report as JSON instead of text."},
    {.name = "at",
     .kind = value_kind::time,
     .value_name = "TIME",
     .summary = "Shows who owned what at this time since each process's start, such as 1500ms, 2.5s or 3m."},
    {.name = "peak", .summary = "Shows who owned what at the peak of live bytes; so it does without --at."},
    {.name = "top",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many functions each table of the text report shows; 20 by default."},
    {.name = "all", .summary = "Shows small processes in full too, not only those that matter."},
    {.name = "debuginfod", .summary = "Fetches missing debug files from $DEBUGINFOD_URLS, which may take long."},
}});

inline constexpr std::array<example_entry, 4> report_examples = {{
    {"tenure report run.tenure", "Says who held the memory at the peak, and what was never freed."},
    {"tenure report --at 1500ms --json run.tenure", "The same of one moment, for a program."},
    {"tenure report --window 10s..20s run.tenure", "What was allocated in those ten seconds, and what of it stayed."},
    {"tenure report --function 'load_*' --size 1M.. run.tenure", "The large blocks of some functions."},
}};

inline constexpr std::array<exit_code_entry, 4> report_codes = {{
    {"0", "The recording is complete."},
    {"1", "It was cut off or is damaged; the report says where, and covers everything before."},
    {"2", "The command line was wrong, FILE is no recording, or the output cannot be written."},
    {"70", "Tenure itself failed."},
}};

inline constexpr auto options_of_export = with_selection(std::array<option_entry, 7>{{
    {.name = "output",
     .letter = 'o',
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Writes to FILE instead of standard output."},
    {.name = "format",
     .letter = 'f',
     .kind = value_kind::choice,
     .value_name = "FORMAT",
     .choices = "folded|speedscope|dhat|csv|pprof",
     .summary = "folded: a line a stack, for flame graphs; speedscope: for speedscope.app; dhat: for valgrind's "
                "dh_view.html; csv: a row a stack; pprof: for `go tool pprof`."},
    {.name = "value",
     .kind = value_kind::choice,
     .value_name = "VALUE",
     .choices = "peak|inuse|alloc",
     .summary = "What stacks are weighed by: what they held at the peak (the default), what they never freed, or what "
                "they allocated. The other formats hold all three; pprof those of the peak or of the end as in use."},
    {.name = "unit",
     .kind = value_kind::choice,
     .value_name = "UNIT",
     .choices = "bytes|blocks",
     .summary = "What folded counts: bytes (the default) or blocks."},
    {.name = "at",
     .kind = value_kind::time,
     .value_name = "TIME",
     .summary = "Takes this moment since each process's start, such as 1500ms, instead of the peak."},
    {.name = "peak", .summary = "Takes the peak of live bytes; so it does without --at."},
    {.name = "debuginfod", .summary = "Fetches missing debug files from $DEBUGINFOD_URLS, which may take long."},
}});

inline constexpr std::array<example_entry, 4> export_examples = {{
    {"tenure export -f speedscope -o run.speedscope.json run.tenure", "A file for https://www.speedscope.app."},
    {"tenure export -f folded --value alloc run.tenure | flamegraph.pl > churn.svg",
     "A flame graph of what was allocated."},
    {"tenure export -f pprof -o heap.pb.gz run.tenure && go tool pprof -top heap.pb.gz",
     "Looks at the peak with pprof."},
    {"tenure export -f csv --window 10s..20s run.tenure", "What was allocated in ten seconds, as a table."},
}};

inline constexpr std::array<exit_code_entry, 4> export_codes = {{
    {"0", "All went well."},
    {"1", "The recording was cut off or is damaged; what was written covers everything before."},
    {"2", "The command line was wrong, FILE is no recording or holds nothing, or the output cannot be written."},
    {"70", "Tenure itself failed."},
}};

}  // namespace tenure::cli
