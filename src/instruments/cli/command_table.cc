#include "instruments/cli/command_table.h"

#include <algorithm>
#include <array>
#include <string>

#include "instruments/cli/analysis_options.h"
#include "instruments/cli/options_table.h"
#include "instruments/cli/shared_options.h"
#include "instruments/cli/simulate_options.h"

namespace tenure::cli {
namespace {

constexpr std::array<option_entry, 3> common = {{
    {.name = "help", .letter = 'h', .summary = "Shows how the command is used."},
    {.name = "version", .letter = 'V', .summary = "Shows version, build and revision."},
    {.name = "color",
     .kind = value_kind::choice,
     .value_name = "WHEN",
     .choices = "auto|always|never",
     .summary = "Colour: auto (the default) on a terminal unless NO_COLOR is set, always, or never."},
}};

constexpr std::array<exit_code_entry, 3> common_codes = {{
    {"0", "All went well."},
    {"1", "What was asked about is not so: `tenure doctor` found that the heap does not engage."},
    {"2", "The command line was wrong; one sentence on standard error says how."},
}};

// Made from the heap's options, so that a default stands in one place.
std::string_view summary_of_sample_interval() {
  static const std::string text =
      "Mean distance, in bytes allocated, between two sampled allocations; " +
      heap_option_named("sample_interval").default_text() +
      " by default. It is a lower bound: a thread that allocates so fast that samples come closer than "
      "TENURE_SAMPLE_SPACING, " +
      heap_option_named("sample_spacing").default_text() +
      " by default, is sampled at twice, four times ... the distance until they do not, and its figures carry the "
      "larger "
      "error. TENURE_SAMPLE_SPACING=0 takes that away.";
  return text;
}

const std::array<option_entry, 14> options_of_run = {{
    {.name = "output",
     .letter = 'o',
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Writes the report to FILE instead of standard error."},
    {.name = "json", .summary = "Writes the report as JSON instead of text."},
    {.name = "pprof",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Also writes a profile that `go tool pprof` reads: allocated and in use, with inlined frames."},
    {.name = "pprof-at",
     .kind = value_kind::choice,
     .value_name = "MOMENT",
     .choices = "exit|peak",
     .summary = "The moment of the profile's in-use values: exit (the default) or peak."},
    {.name = "sample-interval",
     .kind = value_kind::bytes,
     .value_name = "BYTES",
     .summary = summary_of_sample_interval()},
    {.name = "full",
     .summary = "Records every allocation and free instead of sampling: the figures are counts, without an error. CMD "
                "runs slower, and the recording takes room in $TMPDIR or /var/tmp until the report is there."},
    {.name = "recording",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "With --full: keeps the recording in FILE, for `tenure report` and `tenure export`."},
    {.name = "when-full",
     .kind = value_kind::choice,
     .value_name = "WHAT",
     .choices = "wait|drop",
     .summary =
         "With --full: what a thread does that tells faster than can be written: wait (the default), or drop and "
         "count."},
    {.name = "free-stacks",
     .summary =
         "With --full: records where each block is freed, too, as samples do: the report then says who frees it. A "
         "free then costs CMD as much as an allocation."},
    {.name = "top",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many call sites each table of the text report shows; 10 by default."},
    {.name = "all", .summary = "Shows full reports for small processes too, not only for those that matter."},
    preload_option,
    debuginfod_option,
    {.name = "quiet", .letter = 'q', .summary = "Prints no text report; for use with --pprof."},
}};

constexpr std::array<example_entry, 5> run_examples = {{
    {"tenure run -- sqlite3 :memory: 'select 1'", "Watches sqlite3 and prints the report to standard error."},
    {"tenure run --json -o report.json -- ./server --port 8080", "Leaves the terminal to the program."},
    {"tenure run --pprof heap.pb.gz -- ./server && go tool pprof -top heap.pb.gz", "Looks at it with pprof."},
    {"tenure run --full -- ./short-lived", "Counts every block instead of sampling some."},
    {"tenure run --sample-interval 16K -- ./short-lived", "Samples more closely, for a program that allocates little."},
}};

constexpr std::array<exit_code_entry, 5> run_codes = {{
    {"of CMD", "The program's own exit code, or 128 + N when signal N ended it."},
    {"2", "The command line was wrong, or names an output that cannot be written; CMD was not started."},
    {"70",
     "Tenure itself failed: no heap to preload, no room for the session, or a report that could not be written "
     "although "
     "CMD ended with 0."},
    {"126", "CMD was found but cannot be run, or Tenure cannot engage for it (static, set-user-id, another machine)."},
    {"127", "CMD was not found."},
}};

constexpr std::array<option_entry, 7> options_of_record = {{
    {.name = "output",
     .letter = 'o',
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "The recording to write; what was there is replaced."},
    {.name = "when-full",
     .kind = value_kind::choice,
     .value_name = "WHAT",
     .choices = "wait|drop",
     .summary = "What a thread does that tells faster than can be written: wait (the default), or drop and count."},
    free_stacks_option,
    {.name = "max-size",
     .kind = value_kind::bytes,
     .value_name = "BYTES",
     .summary =
         "Keeps FILE this small, 1M at least, by dropping its beginning: what is left begins with what was alive "
         "then. While that is done, up to half as much again lies beside it."},
    {.name = "last",
     .kind = value_kind::time,
     .value_name = "DURATION",
     .summary =
         "Keeps at least the last DURATION of the run, such as 10m, and at most about twice as much, in the same "
         "way."},
    preload_option,
    {.name = "quiet", .letter = 'q', .summary = "Does not say where the recording is."},
}};

constexpr std::array<example_entry, 3> record_examples = {{
    {"tenure record -o run.tenure -- ./server --port 8080", "Records each allocation and free of the server."},
    {"tenure record --last 10m --max-size 2G -o run.tenure -- ./server", "Keeps the end of a long run."},
    {"tenure record --when-full drop -o run.tenure -- ./server", "Never makes the server wait."},
}};

constexpr std::array<option_entry, 9> options_of_top = {{
    {.name = "every",
     .kind = value_kind::time,
     .value_name = "DURATION",
     .summary = "How often the picture is made anew; 1s by default."},
    {.name = "once",
     .summary = "Prints one picture as text, after DURATION, and ends; without PID, the processes to choose from."},
    {.name = "by",
     .kind = value_kind::choice,
     .value_name = "WHAT",
     .choices = "live|rate|blocks|allocated|name",
     .summary = "The order of the rows to begin with: live bytes (the default), bytes allocated a second, live blocks, "
                "bytes allocated, or the name."},
    {.name = "table",
     .kind = value_kind::choice,
     .value_name = "WHAT",
     .choices = "functions|lines|modules|threads|accounts",
     .summary = "The table to begin with; functions by default."},
    {.name = "rows",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "With --once: how many rows are shown; 20 by default."},
    {.name = "filter",
     .kind = value_kind::pattern,
     .value_name = "TEXT",
     .summary = "Shows the rows with this part of a name to begin with, as the key / does."},
    {.name = "json", .summary = "With --once: prints the picture as JSON."},
    {.name = "sample-interval",
     .kind = value_kind::bytes,
     .value_name = "BYTES",
     .summary = "Mean distance, in bytes allocated, between two sampled allocations while it is watched; 4K at least. "
                "Without it, that of the process."},
    debuginfod_option,
}};

constexpr std::array<example_entry, 5> top_examples = {{
    {"tenure top", "Chooses among the processes that run on Tenure's heap."},
    {"tenure top 4711", "Watches process 4711: functions by what they hold, as it changes."},
    {"tenure top --table threads --by rate 4711", "Which thread allocates most at the moment."},
    {"tenure top --once --every 5s 4711", "One picture, of five seconds, for a file or a chat."},
    {"tenure top --once --json --filter parse 4711", "The same for a program, of some functions."},
}};

constexpr std::array<option_entry, 13> options_of_attach = {{
    {.name = "output",
     .letter = 'o',
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Records every allocation and free to FILE instead of sampling; what was there is replaced."},
    {.name = "for",
     .kind = value_kind::time,
     .value_name = "DURATION",
     .summary = "Stops by itself after DURATION, such as 30s."},
    {.name = "sample-interval",
     .kind = value_kind::bytes,
     .value_name = "BYTES",
     .summary = "Mean distance, in bytes allocated, between two sampled allocations while it is attached to; 4K at "
                "least. Without it, that of the process."},
    {.name = "json", .summary = "Writes the report as JSON instead of text."},
    {.name = "pprof",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Also writes a profile that `go tool pprof` reads: allocated and in use, with inlined frames."},
    {.name = "top",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many call sites each table of the text report shows; 10 by default."},
    {.name = "all", .summary = "Shows full reports for small processes too, not only for those that matter."},
    {.name = "when-full",
     .kind = value_kind::choice,
     .value_name = "WHAT",
     .choices = "wait|drop",
     .summary = "With -o: what a thread does that tells faster than can be written: wait (the default), or drop and "
                "count."},
    {.name = "free-stacks",
     .summary =
         "With -o: records where each block is freed, too, for `tenure lifetimes`; a free then costs the process as "
         "much as an allocation."},
    {.name = "max-size",
     .kind = value_kind::bytes,
     .value_name = "BYTES",
     .summary = "With -o: keeps FILE this small, 1M at least, by dropping its beginning."},
    {.name = "last",
     .kind = value_kind::time,
     .value_name = "DURATION",
     .summary = "With -o: keeps at least the last DURATION, in the same way."},
    debuginfod_option,
    {.name = "quiet", .letter = 'q', .summary = "Prints no text report, and does not say where the recording is."},
}};

constexpr std::array<example_entry, 4> attach_examples = {{
    {"LD_PRELOAD=/usr/lib/libtenure-malloc.so ./server &", "Starts a server that can be attached to at any time."},
    {"tenure attach 4711", "Samples process 4711 until Ctrl-C, and reports."},
    {"tenure attach 4711 --for 30s --sample-interval 64K", "The same for 30 seconds, more closely."},
    {"tenure attach 4711 --for 30s -o now.tenure", "Records each allocation and free of 30 seconds."},
}};

constexpr std::array<exit_code_entry, 5> attach_codes = {{
    {"0", "All went well."},
    {"2", "The command line was wrong, or names an output that cannot be written."},
    {"70",
     "Tenure itself failed: no room for the session, a report that could not be written, or a recording with nothing "
     "in it."},
    {"126",
     "The process cannot be attached to: Tenure is not loaded in it, or it is another user's, or it is watched "
     "already; one sentence says which, and what to do."},
    {"127", "There is no such process."},
}};

constexpr std::array<option_entry, 1> json_only = {{{.name = "json", .summary = "Writes JSON instead of text."}}};

constexpr std::array<example_entry, 2> doctor_examples = {{
    {"tenure doctor", "Checks this machine."},
    {"tenure doctor -- ./server", "Checks also whether Tenure can engage for one program, without starting it."},
}};

constexpr std::array<exit_code_entry, 3> doctor_codes = {{
    {"0", "The heap engages, and can engage for CMD if one was given."},
    {"1", "It does not; the first lines say why."},
    {"2", "The command line was wrong."},
}};

constexpr std::array<example_entry, 2> options_examples = {{
    {"tenure options", "Lists the options with their defaults and ranges."},
    {"TENURE_DECAY=0 ./server", "Sets one; it is read when the program starts."},
}};

constexpr std::array<example_entry, 1> help_examples = {{{"tenure help run", "The same as tenure run --help."}}};

constexpr std::array<exit_code_entry, 2> plain_codes = {{
    {"0", "All went well."},
    {"2", "The command line was wrong."},
}};

constexpr std::array<example_entry, 3> generate_examples = {{
    {"tenure generate man FOLDER", "Writes tenure.1, tenure-COMMAND.1 and tenure-options.7."},
    {"tenure generate completion FOLDER", "Writes tenure.bash, _tenure and tenure.fish."},
    {"tenure generate docs FOLDER", "Writes commands.md and options.md."},
}};

constexpr std::array<environment_entry, 6> environment = {{
    {"TENURE_LIBRARY", "The heap to put under programs, when it is not where the command was installed."},
    {"NO_COLOR", "Set to anything: no colour, unless --color says otherwise."},
    {"CLICOLOR_FORCE", "Set to anything but 0: colour even where the output is not a terminal."},
    {"XDG_CACHE_HOME", "Symbols that were read once are kept in its folder tenure; ~/.cache/tenure without it."},
    {"DEBUGINFOD_URLS", "Servers that --debuginfod asks for missing debug files."},
    {"TENURE_*", "The heap's own options: see `tenure options`."},
}};

constexpr std::array<command_entry, 20> commands = {{
    {.name = "run",
     .arguments = "[--] CMD [ARGS...]",
     .summary = "Runs a program on Tenure's heap and reports where its memory lived.",
     .description =
         "Starts CMD with Tenure's heap in place of the system's and watches it from outside until it ends. CMD's "
         "input, output, signals and exit code pass through untouched; programs that it forks or becomes are followed "
         "and reported one by one.\n\n"
         "The report says where the memory lived (parts that sum to the resident size), who owned it (call sites at "
         "the peak and at exit, with the sampling error), and when it went away (lifetimes, churn, what was never "
         "freed). CMD writes nothing but fixed records to shared memory, so after kill -9 or an out-of-memory kill the "
         "report is complete up to that moment.",
     .options = options_of_run,
     .examples = run_examples,
     .exit_codes = run_codes,
     .takes_program = true},
    {.name = "record",
     .arguments = "-o FILE [--] CMD [ARGS...]",
     .summary = "Runs a program on Tenure's heap and records every allocation and free.",
     .description =
         "Starts CMD as `tenure run` does and writes each allocation with its stack, thread, size and time, and each "
         "free with its thread and time, to FILE, for CMD and every program that it forks or becomes.\n\n"
         "FILE is good up to what was last written, at most a second ago, whatever ends the program or this command. "
         "A thread that tells faster than can be written waits, unless --when-full drop is given: then what it could "
         "not tell is counted and shown in the report.",
     .options = options_of_record,
     .examples = record_examples,
     .exit_codes = run_codes,
     .takes_program = true},
    {.name = "attach",
     .arguments = "PID",
     .summary = "Watches or records a process that runs already, and leaves it as it was.",
     .description =
         "Process PID must run on Tenure's heap: it was started with libtenure-malloc.so in LD_PRELOAD, or is linked "
         "with "
         "Tenure. It is watched from now on until Ctrl-C, the end of --for or its own end, with every program that it "
         "forks or starts meanwhile. Nothing is stopped or restarted, and no ptrace is needed; the process answers "
         "when "
         "it next allocates or frees.\n\n"
         "Without -o the report is that of `tenure run`, from samples; blocks that lived before are in it as far as "
         "they "
         "were sampled when they were allocated. With -o FILE every allocation and free is recorded as `tenure record` "
         "does; blocks from before are not in it, and their frees are counted as other frees. A thread is recorded "
         "from the moment when it next needs more than its own cache.\n\n"
         "Afterwards the process samples as it did before and tells nobody. The same happens when this command is "
         "killed. One command can be attached to a process at a time.",
     .options = options_of_attach,
     .examples = attach_examples,
     .exit_codes = attach_codes,
     .takes_words = true},
    {.name = "top",
     .arguments = "[PID]",
     .summary = "Shows live, in the terminal, what a process does with its memory.",
     .description =
         "Attaches to process PID as `tenure attach` does, and shows, once a second, what is resident, of which limit, "
         "how that and what is live have changed, and who owns it: by function, line, module, thread, or account of "
         "the program's own ledger. Rows can be ordered and filtered, and Enter shows the stacks behind one. Without "
         "PID it shows the processes to choose from. What is sampled of the process from before is in the figures; on "
         "leaving, it goes on as it was.\n\n"
         "Keys: Tab the next table; l r b a n the order; / a filter; Up, Down, Page Up, Page Down a row; Enter its "
         "stacks; < > another of its processes; p pause; ? help; q quit.",
     .options = options_of_top,
     .examples = top_examples,
     .exit_codes = attach_codes,
     .takes_words = true},
    {.name = "report",
     .arguments = "FILE",
     .summary = "Shows what a recording says: exact figures for each process and function.",
     .description =
         "Replays FILE, which `tenure record` has written, and shows for each process what was allocated and freed, "
         "the "
         "peak and what was never freed, in total and by function. Figures are counts, not estimates; what was lost is "
         "said beside them. Memory does not grow with the length of the recording.\n\n"
         "--window, --process, --thread, --module, --function and --size choose which blocks it speaks of; a free goes "
         "with its allocation. Several of them together choose what fits all.",
     .options = options_of_report,
     .examples = report_examples,
     .exit_codes = report_codes,
     .takes_words = true},
    {.name = "leaks",
     .arguments = "(PID|FILE|-- CMD [ARGS...])",
     .summary = "Finds blocks that nothing leads to any more, and blocks that were never freed.",
     .description =
         "With CMD it runs the command as `tenure record` does, and when one of its processes ends, looks for blocks "
         "that nothing leads to. With PID it looks through a process that runs on Tenure's heap (see `tenure attach`), "
         "which goes on: it is held up only until it has been copied, and the copy is looked through. With FILE it "
         "says what was never freed in a recording, whether something leads to it or not, and which functions' live "
         "bytes "
         "grow to the end without levelling off, with the slope and its interval.\n\n"
         "A block is reachable when a pointer to its start lies in a writable mapping of the program, on a stack, in "
         "a register or thread-local storage, or in a reachable block. One to which only pointers into its inside "
         "lead is possibly leaked; those of a reference-counted std::string, of new[] with a count, of a second base "
         "class and of a block with its length before it are known and count as reachable. What nothing leads to is "
         "definitely leaked, and what only leaked blocks lead to is indirectly leaked: it is told with the block "
         "that holds it. Of blocks that hold each other one is called definite.\n\n"
         "Every word counts as a pointer, so a stale one may hide a leak; shared memory and files are not looked "
         "through. With CMD every leaked block has its stack; with PID only those that were sampled. What the C and "
         "C++ libraries keep for themselves until the end is suppressed, where the stack tells. While a running "
         "process is copied its threads stand still; calls that wait, such as poll, then return EINTR. It answers "
         "when it next allocates or frees.\n\n"
         "With --reachable it also says who holds what is not leaked: for the stacks that allocated most of it, the "
         "variables, thread stacks, registers and thread-local storage from which it is reached, and of each the "
         "shortest way to the nearest block, with the place of each pointer on it.",
     .options = options_of_leaks,
     .examples = leaks_examples,
     .exit_codes = leaks_codes,
     .takes_program = true,
     .takes_words = true},
    {.name = "fragmentation",
     .arguments = "(PID|FILE|-- CMD...)",
     .summary = "Shows what the heap holds besides what the program has, and whose blocks keep it from going back.",
     .description =
         "Looks at every span of the heap at one moment, of a process that runs on it (PID) or of each process of CMD "
         "when it ends, and says where each byte is: in blocks in use, free in spans, in threads' caches and batches "
         "between threads, in free pages that have not gone back, in the ends of spans. The parts sum to the heap.\n\n"
         "A span in which half of the memory or more is free, and that has blocks in use, is pinned by these: what "
         "they "
         "keep is divided equally among them and told by the stacks that allocated them. It says in sentences what to "
         "do where a part is worth it, and draws a map of the heap.\n\n"
         "With CMD everything is recorded, so that each block has its stack. With PID it is not: what is pinned is "
         "told "
         "by size class. The process is held up until it has been copied, as by `tenure leaks`. --thread, --module, "
         "--function and --size choose the call sites that are told; the sums are of the whole heap.\n\n"
         "With FILE it says what a recording knows of its end, of its peak (--peak) or of the time --at: the heap's "
         "counters of that moment, exactly, by size class. Which blocks lie side by side a recording does not tell, so "
         "of each call site it says what its blocks can pin at most.",
     .options = options_of_fragmentation,
     .examples = fragmentation_examples,
     .exit_codes = fragmentation_codes,
     .takes_program = true,
     .takes_words = true},
    {.name = "lifetimes",
     .arguments = "(FILE | -- CMD [ARGS...])",
     .summary = "Shows how long blocks live, who frees them, and what reallocs cost.",
     .description =
         "Replays FILE, which `tenure record` has written, or records CMD, and shows for each process and function the "
         "survival of its "
         "blocks, in time and in bytes allocated meanwhile; blocks that were never freed are taken as censored. It "
         "says which blocks were short-lived against the heap of their moment, which thread freed what another had "
         "allocated, and how often and how far realloc had to move blocks.\n\n"
         "Ages are told to one part in sixteen, rounded up. Memory does not grow with the length of the recording.",
     .options = options_of_lifetimes,
     .examples = lifetimes_examples,
     .exit_codes = lifetimes_codes,
     .takes_program = true,
     .takes_words = true},
    {.name = "diff",
     .arguments = "A (B | -- CMD [ARGS...])",
     .summary = "Shows what changed between two recordings, function by function.",
     .description =
         "Compares recordings of `tenure record`: the peak, what was allocated and what was never freed, in total and "
         "by "
         "function, greatest change first. Call sites are matched by the names of their functions, inlined ones too, "
         "and "
         "of their modules, not by addresses or lines; so A and B may be of different builds. All processes of a "
         "recording count together.\n\n"
         "A and B may each be several recordings of the same thing, with commas between: then what they differ by "
         "among "
         "themselves is noise. With one each, changes of at most a hundredth of a function's figure or a thousandth of "
         "the whole are called noise. With --at A..B it compares two moments of one recording. With CMD that is "
         "run and recorded, and is what A is compared with.",
     .options = options_of_diff,
     .examples = diff_examples,
     .exit_codes = diff_codes,
     .takes_program = true,
     .takes_words = true},
    {.name = "check",
     .arguments = "(FILE | -- CMD [ARGS...])",
     .summary = "Fails when memory exceeds limits, or has grown over a baseline: for builds and CI.",
     .description =
         "Holds a recording of `tenure record`, or CMD, which it records, against the limits that are given, says of "
         "each whether it is kept, and ends with 1 when one is not. Below a limit that is broken stand the call sites "
         "that account for it.\n\n"
         "A limit is a figure, such as 64M, or with --baseline a growth: +5%, +64K, or +5%+64K, which allows the sum. "
         "With a name before it, load_*=64K, it holds for each function of that name by itself (a part of the name or, "
         "with a *, all of it), and '*=64K' for each function; with --per site, for each call site of it. A function "
         "of a library is called libshop.so!shop::add, so 'libshop.so!*=64K' is each one of that library. Limits of "
         "one kind may be given several times.\n\n"
         "The peak is that of the process that held most; the other figures are those of all processes together. "
         "What the C and C++ libraries keep for themselves until the end is not counted as never freed.",
     .options = options_of_check,
     .examples = check_examples,
     .exit_codes = check_codes,
     .takes_program = true,
     .takes_words = true},
    {.name = "export",
     .arguments = "-f FORMAT FILE",
     .summary = "Writes a recording in the format of another tool.",
     .description =
         "Replays FILE, which `tenure record` has written, and writes who allocated what, stack by stack with inlined "
         "functions, for flame graphs, speedscope, DHAT's viewer, pprof or a spreadsheet. The figures are those of "
         "`tenure report`, and so are the options that choose what is told.",
     .options = options_of_export,
     .examples = export_examples,
     .exit_codes = export_codes,
     .takes_words = true},
    {.name = "import",
     .arguments = "-o OUT FILE",
     .summary = "Makes a recording of what another tool has recorded.",
     .description = import_description,
     .options = options_of_import,
     .examples = import_examples,
     .exit_codes = import_codes,
     .takes_words = true},
    {.name = "bundle",
     .arguments = "-o OUT FILE",
     .summary = "Puts all names into a recording, for a machine without its programs.",
     .description =
         "A recording holds addresses; the names of functions, files and lines are looked up when it is read, in the "
         "programs and their debug files. This writes FILE anew with all names that are found here in it, inlined "
         "functions too, so that every command says the same of OUT on any machine.\n\n"
         "What has no name here is looked for again where OUT is read, by the build-id of its file. FILE may be a "
         "bundle itself; OUT may be FILE.",
     .options = options_of_bundle,
     .examples = bundle_examples,
     .exit_codes = bundle_codes,
     .takes_words = true},
    {.name = "simulate",
     .arguments = "TRACE",
     .summary = "Says what caches of several policies and sizes would have hit on a trace.",
     .description = simulate_description,
     .options = options_of_simulate,
     .examples = simulate_examples,
     .exit_codes = simulate_codes,
     .takes_words = true},
    {.name = "doctor",
     .arguments = "[-- CMD]",
     .summary = "Says whether Tenure engages on this machine, and what the kernel lacks.",
     .description =
         "Starts a tiny program on Tenure's heap and asks it whether the heap is in force. Then lists what Tenure uses "
         "of the kernel and the C library, whether it is there, and what it costs when it is not.\n\n"
         "With CMD it also says whether Tenure can engage for that program, without starting it.",
     .options = json_only,
     .examples = doctor_examples,
     .exit_codes = doctor_codes,
     .takes_program = true},
    {.name = "options",
     .arguments = "",
     .summary = "Lists the TENURE_* options of the heap.",
     .description =
         "The heap reads its options from environment variables when a program starts. This lists each one with its "
         "default and its range, what it does and when to use it.",
     .options = json_only,
     .examples = options_examples,
     .exit_codes = plain_codes},
    {.name = "help",
     .arguments = "[COMMAND]",
     .summary = "Shows how a command is used.",
     .description = "Shows the commands, or how one of them is used.",
     .options = {},
     .examples = help_examples,
     .exit_codes = plain_codes,
     .takes_words = true},
    {.name = "version",
     .arguments = "",
     .summary = "Shows version, build and revision.",
     .description = "Shows the version, how the command was built, and from which revision where that is known.",
     .options = {},
     .examples = {},
     .exit_codes = plain_codes},
    {.name = "generate",
     .arguments = "(man|completion|docs) FOLDER",
     .summary = "Writes man pages, completions and reference pages from the command table.",
     .description = "For the build: everything that describes the commands is written by the command itself.",
     .options = {},
     .examples = generate_examples,
     .exit_codes = plain_codes,
     .takes_words = true,
     .is_hidden = true},
    {.name = "probe",
     .arguments = "",
     .summary = "Tells which heap this process runs on.",
     .description = "For `tenure doctor`, which starts itself so on Tenure's heap.",
     .options = {},
     .examples = {},
     .exit_codes = plain_codes,
     .is_hidden = true},
}};

}  // namespace

std::span<const environment_entry> environment_variables() { return environment; }
std::span<const command_entry> all_commands() { return commands; }
std::span<const option_entry> common_options() { return common; }
std::span<const exit_code_entry> common_exit_codes() { return common_codes; }

const command_entry* find_command(std::string_view name) {
  const auto found = std::find_if(commands.begin(), commands.end(), [&](const auto& c) { return c.name == name; });
  return found != commands.end() ? &*found : nullptr;
}

std::string option_usage(const option_entry& option) {
  std::string text;
  if (option.letter != '\0') text += std::string{'-', option.letter} + ", ";
  text += "--" + std::string(option.name);
  if (option.kind != value_kind::none) text += " " + std::string(option.value_name);
  return text;
}

std::string command_usage(const command_entry& command) {
  std::string text = "tenure " + std::string(command.name) + " [OPTIONS]";
  if (!command.arguments.empty()) text += " " + std::string(command.arguments);
  return text;
}

}  // namespace tenure::cli
