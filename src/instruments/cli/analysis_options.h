// The part of the command table that is about recordings: options, examples and exit codes.
#pragma once

#include <array>

#include "instruments/cli/selection_options.h"
#include "instruments/cli/shared_options.h"

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
    debuginfod_option,
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

inline constexpr auto options_of_lifetimes = with_selection(std::array<option_entry, 8>{{
    output_beside_option,
    json_option,
    {.name = "top",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many rows each table of the text shows; 20 by default."},
    all_processes_option,
    {.name = "free-stacks",
     .summary = "Of CMD: records where each block is freed, too, and says which function frees what another has "
                "allocated. A free then costs CMD as much as an allocation."},
    kept_recording_option,
    preload_option,
    debuginfod_option,
}});

inline constexpr std::array<example_entry, 4> lifetimes_examples = {{
    {"tenure lifetimes --free-stacks -- ./server_test",
     "Runs it, and says how long its blocks lived and who freed them."},
    {"tenure lifetimes run.tenure", "Says which functions' blocks live how long, and who frees them."},
    {"tenure lifetimes --function parse_request --json run.tenure", "The curves of one function, for a program."},
    {"tenure lifetimes --thread worker --window 10s.. run.tenure", "Of what the workers allocated after ten seconds."},
}};

inline constexpr std::array<exit_code_entry, 6> lifetimes_codes = {{
    {"0", "All went well."},
    {"1", "The recording was cut off or is damaged; what is told covers everything before."},
    {"2", "The command line was wrong, FILE is no recording, or an output cannot be written; CMD was not started."},
    {"of CMD", "Its own exit code where it is not 0, or 128 + N when signal N ended it."},
    {"70", "Tenure itself failed."},
    {"126, 127", "CMD cannot be run, Tenure cannot engage for it, or it was not found."},
}};

inline constexpr auto options_of_diff = with_selection(std::array<option_entry, 9>{{
    output_beside_option,
    json_option,
    {.name = "at",
     .kind = value_kind::time_range,
     .value_name = "A..B",
     .summary = "Compares what one recording held at A with what it held at B, times since each process's start."},
    {.name = "by",
     .kind = value_kind::choice,
     .value_name = "WHAT",
     .choices = "held|allocated|blocks|left",
     .summary =
         "What is compared function by function: what was held at the peak (the default), the bytes or the blocks "
         "that were allocated, or what was never freed."},
    {.name = "top",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many functions the text shows; 20 by default."},
    {.name = "all", .summary = "Shows noise too."},
    kept_recording_option,
    preload_option,
    debuginfod_option,
}});

inline constexpr std::array<example_entry, 5> diff_examples = {{
    {"tenure diff old.tenure new.tenure", "Who holds more at the peak than before, and who less."},
    {"tenure diff old.tenure -- ./server_test", "Runs it as it is now, and says what has changed since."},
    {"tenure diff --by blocks old1.tenure,old2.tenure,old3.tenure new1.tenure,new2.tenure,new3.tenure",
     "Who allocates more often, held against what differs from run to run."},
    {"tenure diff --at 10s..60s run.tenure", "What grew between two moments."},
    {"tenure diff --function parse --json old.tenure new.tenure", "What changed below one function, for a program."},
}};

inline constexpr std::array<exit_code_entry, 6> diff_codes = {{
    {"0", "The recordings are complete; whether anything changed is no matter."},
    {"1", "One was cut off or is damaged; what was compared is everything before."},
    {"2", "The command line was wrong, a file is no recording, or an output cannot be written; CMD was not started."},
    {"of CMD", "Its own exit code where it is not 0, or 128 + N when signal N ended it."},
    {"70", "Tenure itself failed."},
    {"126, 127", "CMD cannot be run, Tenure cannot engage for it, or it was not found."},
}};

inline constexpr auto options_of_check = with_selection(std::array<option_entry, 16>{{
    {.name = "max-peak",
     .kind = value_kind::byte_limit,
     .value_name = "LIMIT",
     .summary = "How many bytes may be held at the peak.",
     .is_repeatable = true},
    {.name = "max-leak",
     .kind = value_kind::byte_limit,
     .value_name = "LIMIT",
     .summary = "How many bytes may never be freed.",
     .is_repeatable = true},
    {.name = "max-allocations",
     .kind = value_kind::block_limit,
     .value_name = "LIMIT",
     .summary = "How many blocks may be allocated.",
     .is_repeatable = true},
    {.name = "max-allocated",
     .kind = value_kind::byte_limit,
     .value_name = "LIMIT",
     .summary = "How many bytes may be allocated, over time.",
     .is_repeatable = true},
    {.name = "max-growth",
     .kind = value_kind::byte_limit,
     .value_name = "LIMIT",
     .summary =
         "How much more than in the baseline each of the four may be, such as 5%, 64K or 5%+64K; of the number of "
         "blocks the share counts alone.",
     .is_repeatable = true},
    {.name = "baseline",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary =
         "The recording to which growth is compared. Of several, with commas between, it is their mean, and what "
         "they differ by is allowed as well."},
    {.name = "per",
     .kind = value_kind::choice,
     .value_name = "WHAT",
     .choices = "function|site",
     .summary = "What a limit with a name holds for: each function (the default), or each call site, which is a "
                "function and its callers."},
    {.name = "suppressions",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Lines such as leak:load_plugins, as for LeakSanitizer: what is not counted as never freed."},
    {.name = "recording",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Keeps the recording of CMD in FILE, for `tenure report` or as the next baseline."},
    output_beside_option,
    json_option,
    {.name = "junit",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Also writes the answer as JUnit XML, a test case a limit, for CI systems to show."},
    {.name = "top",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many call sites are named below a limit that is broken; 5 by default."},
    preload_option,
    {.name = "quiet", .letter = 'q', .summary = "Says nothing of limits that are kept."},
    debuginfod_option,
}});

inline constexpr std::array<example_entry, 5> check_examples = {{
    {"tenure check --max-peak 64M --max-leak 0 -- ./server_test", "Fails when the test holds more or leaks."},
    {"tenure check --baseline main.tenure --max-growth 5%+64K --junit memory.xml run.tenure",
     "Fails when a figure grew, for the CI to show."},
    {"tenure check --max-leak '*=4K' --suppressions known.txt run.tenure",
     "Allows each function a little, but for what is known."},
    {"tenure check --max-allocations 'parse_request=+0' --baseline main.tenure run.tenure",
     "Fails when one function allocates more often than it did."},
    {"tenure check --window 10s..60s --max-leak 1M run.tenure", "What of those fifty seconds stayed."},
}};

inline constexpr std::array<exit_code_entry, 7> check_codes = {{
    {"0", "All limits are kept."},
    {"1", "At least one is broken."},
    {"2", "The command line was wrong, a file is no recording, or an output cannot be written; CMD was not started."},
    {"3",
     "No limit is seen broken, but the recording does not tell all: it was cut off, is damaged or lost events, or "
     "nothing ran on Tenure's heap."},
    {"of CMD", "Its own exit code where it is not 0, whatever the limits, or 128 + N when signal N ended it."},
    {"70", "Tenure itself failed."},
    {"126, 127", "CMD cannot be run, Tenure cannot engage for it, or it was not found."},
}};

inline constexpr auto options_of_leaks = with_selection(std::array<option_entry, 11>{{
    {.name = "suppressions",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Lines such as leak:load_plugins, as for LeakSanitizer: what is no leak."},
    {.name = "exit-code",
     .kind = value_kind::count,
     .value_name = "N",
     .summary =
         "Ends with N when something leaked definitely or, of a recording, was never freed, and CMD itself ended "
         "with 0."},
    output_beside_option,
    json_option,
    {.name = "top",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many stacks of each kind the text shows; 20 by default."},
    {.name = "all", .summary = "Shows the stacks of indirect leaks too, and processes without a leak."},
    {.name = "reachable",
     .summary =
         "Also says who holds what is still reachable: by the stacks that allocated most, the variables, threads "
         "and blocks on the shortest way to it."},
    {.name = "wait",
     .kind = value_kind::time,
     .value_name = "DURATION",
     .summary = "How long process PID may take to hear that it is asked; 10s by default."},
    kept_recording_option,
    preload_option,
    debuginfod_option,
}});

inline constexpr std::array<example_entry, 6> leaks_examples = {{
    {"tenure leaks -- ./server_test", "Runs it, and says what nothing led to when it ended, with stacks."},
    {"tenure leaks --exit-code 23 --suppressions known.txt -- ./server_test", "The same, to fail a build."},
    {"tenure leaks 4711", "Looks through process 4711 as it runs."},
    {"tenure leaks --reachable --function load_table 4711", "And says which variables hold what one function made."},
    {"tenure leaks run.tenure", "What a recording says was never freed, by stack."},
    {"tenure leaks --json --window 10s..60s run.tenure", "What was allocated in fifty seconds and stayed."},
}};

inline constexpr std::array<exit_code_entry, 7> leaks_codes = {{
    {"0", "All went well, whether anything leaked or not."},
    {"1", "The recording was cut off or is damaged; what is told covers everything before."},
    {"2", "The command line was wrong, FILE is no recording, or an output cannot be written; CMD was not started."},
    {"N", "Of --exit-code: something leaked."},
    {"of CMD", "Its own exit code where it is not 0, or 128 + N when signal N ended it."},
    {"70", "Tenure itself failed, or the process did not answer in time."},
    {"126, 127",
     "Process PID or CMD cannot be watched, because Tenure is not loaded or cannot engage, or there is none such."},
}};

inline constexpr auto options_of_fragmentation = with_selection(std::array<option_entry, 10>{{
    output_beside_option,
    {.name = "at",
     .kind = value_kind::time,
     .value_name = "TIME",
     .summary = "Of a recording: at this time since each process's start, such as 1500ms; its end without."},
    {.name = "peak", .summary = "Of a recording: when most of the heap was in use."},
    {.name = "json", .summary = "Writes JSON instead of text, with every span."},
    {.name = "top",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many rows each table of the text shows; 10 by default."},
    all_processes_option,
    {.name = "wait",
     .kind = value_kind::time,
     .value_name = "DURATION",
     .summary = "How long process PID may take to hear that it is asked; 10s by default."},
    kept_recording_option,
    preload_option,
    debuginfod_option,
}});

inline constexpr std::array<example_entry, 4> fragmentation_examples = {{
    {"tenure fragmentation -- ./server_test", "Runs it, and says whose blocks keep memory from going back at its end."},
    {"tenure fragmentation 4711", "Says what the heap of process 4711 holds besides what the process has, as it runs."},
    {"tenure fragmentation --at 90s run.tenure", "What a recording knows of one moment, and who can have pinned it."},
    {"tenure fragmentation --json --size ..256 -- ./server_test", "Every span, and the call sites of small blocks."},
}};

inline constexpr std::array<exit_code_entry, 6> fragmentation_codes = {{
    {"0", "All went well."},
    {"1", "The recording was cut off or is damaged; what is told covers everything before."},
    {"2", "The command line was wrong, FILE is no recording, or an output cannot be written; CMD was not started."},
    {"of CMD", "Its own exit code where it is not 0, or 128 + N when signal N ended it."},
    {"70", "Tenure itself failed, or the process did not answer in time."},
    {"126, 127",
     "Process PID or CMD cannot be watched, because Tenure is not loaded or cannot engage, or there is none such."},
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
     .choices = "folded|speedscope|dhat|heaptrack|csv|pprof",
     .summary = "folded: a line a stack, for flame graphs; speedscope: for speedscope.app; dhat: for valgrind's "
                "dh_view.html; heaptrack: for heaptrack_gui; csv: a row a stack; pprof: for `go tool pprof`."},
    {.name = "value",
     .kind = value_kind::choice,
     .value_name = "VALUE",
     .choices = "peak|inuse|alloc|freed",
     .summary = "What stacks are weighed by: what they held at the peak (the default), what they never freed, what "
                "they allocated, or what was freed there, where frees were recorded with their stacks. The other "
                "formats hold all of them; pprof those of the peak or of the end as in use."},
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
    debuginfod_option,
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

inline constexpr std::array<option_entry, 3> options_of_bundle = {{
    {.name = "output",
     .letter = 'o',
     .kind = value_kind::file,
     .value_name = "OUT",
     .summary = "Where to write; the file appears when it is whole."},
    debuginfod_option,
    {.name = "quiet", .letter = 'q', .summary = "Does not say how much is named."},
}};

inline constexpr std::array<example_entry, 2> bundle_examples = {{
    {"tenure bundle -o run.bundle.tenure run.tenure", "A recording to send to somebody."},
    {"tenure bundle --debuginfod -o run.tenure run.tenure", "Adds the names to the recording itself."},
}};

inline constexpr std::array<exit_code_entry, 4> bundle_codes = {{
    {"0", "All went well, whether everything has a name or not."},
    {"1", "The recording was cut off or is damaged; what was written covers everything before."},
    {"2", "The command line was wrong, FILE is no recording, or OUT cannot be written."},
    {"70", "Tenure itself failed."},
}};

inline constexpr std::string_view import_description =
    "Writes what another tool has recorded, FILE, as a recording of Tenure's, so that the commands on recordings read "
    "it; - is standard input. FILE may be packed by gzip or zstd, and is recognised by how it begins: heaptrack's "
    "data, "
    "raw (heaptrack --raw) or not (heaptrack.NAME.PID.zst or .gz), or a pprof profile of memory, as Go, gperftools, "
    "jemalloc's tools and `tenure export -f pprof` make it.\n\n"
    "OUT says which tool has recorded it, and what that tool does not tell. Of heaptrack's data counts, bytes and "
    "peaks "
    "are exact; which of several blocks of one stack and size was freed is told by raw data alone, so without them "
    "lifetimes are not known, and threads never are. A pprof profile is sums for each stack at one moment: `report`, "
    "`diff` and `export` show them. What cannot be answered is refused and never guessed. Names are in OUT as the tool "
    "has "
    "found them; raw data and some profiles have addresses alone, which are looked up in the files that they name, "
    "where "
    "those are at hand.";

inline constexpr std::array<option_entry, 3> options_of_import = {{
    {.name = "output",
     .letter = 'o',
     .kind = value_kind::file,
     .value_name = "OUT",
     .summary = "Where to write; the file appears when it is whole."},
    debuginfod_option,
    {.name = "quiet", .letter = 'q', .summary = "Does not say what was imported."},
}};

inline constexpr std::array<example_entry, 3> import_examples = {{
    {"tenure import -o old.tenure heaptrack.shop.4711.zst && tenure report old.tenure", "Shows heaptrack's data."},
    {"tenure diff old.tenure new.tenure", "Compares it with a recording of Tenure's."},
    {"curl -s localhost:6060/debug/pprof/heap | tenure import -o heap.tenure -", "What a Go server has in use."},
}};

inline constexpr std::array<exit_code_entry, 3> import_codes = {{
    {"0", "All went well."},
    {"2",
     "The command line was wrong, FILE is of no tool that is known, cut off or damaged, or OUT cannot be written."},
    {"70", "Tenure itself failed, or OUT could not be written to its end."},
}};

}  // namespace tenure::cli
