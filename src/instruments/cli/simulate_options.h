// Options of `tenure simulate`, as the command table shows them.
#pragma once

#include <array>

#include "instruments/cli/command_table.h"
#include "instruments/cli/shared_options.h"

namespace tenure::cli {

inline constexpr std::array<option_entry, 11> options_of_simulate = {{
    {.name = "policy",
     .kind = value_kind::pattern,
     .value_name = "LIST",
     .summary = "The policies, with commas between, or all (the default): fifo, lru, clock, lfu, lru-k, 2q, arc, lirs, "
                "sieve, s3-fifo, w-tinylfu, random, adaptive, and opt, which knows the future."},
    {.name = "size",
     .kind = value_kind::pattern,
     .value_name = "LIST",
     .summary = "The sizes of the cache, with commas between: numbers of objects such as 1000 or 64K, or shares of all "
                "that the trace asks for, such as 10%. Without it 0.1%,1%,5%,10%,20%,50%."},
    {.name = "bytes",
     .summary = "Sizes are in bytes, and an object takes its size; otherwise each takes one place. The shares are of "
                "the bytes of all objects."},
    {.name = "format",
     .kind = value_kind::choice,
     .value_name = "FORMAT",
     .choices = "auto|oracle-general|csv|integers|arc|lirs",
     .summary = "What TRACE is in: auto (the default) recognises it."},
    {.name = "columns",
     .kind = value_kind::pattern,
     .value_name = "SPEC",
     .summary = "With csv: the columns, counted from 1, such as id=2,size=3; id alone when there are no sizes. Without "
                "it, by the names in the first line, or by how many there are: the object, the object and its size, "
                "or a time and both."},
    {.name = "requests", .kind = value_kind::count, .value_name = "N", .summary = "Reads the first N requests only."},
    {.name = "plot", .summary = "Also draws the hit ratio by size, as text."},
    {.name = "svg",
     .kind = value_kind::file,
     .value_name = "FILE",
     .summary = "Also draws the hit ratio by size as an SVG picture."},
    json_option,
    output_option,
    {.name = "threads",
     .kind = value_kind::count,
     .value_name = "N",
     .summary = "How many simulations run at a time; as many as there are processors by default."},
}};

inline constexpr std::array<example_entry, 4> simulate_examples = {{
    {"tenure simulate trace.csv", "Every policy, six sizes, by the number of objects."},
    {"tenure simulate --bytes --size 1%,10%,1G --svg hits.svg trace.oracleGeneral", "By bytes, with a picture."},
    {"tenure simulate --policy lru,s3-fifo,opt --size 1000,10000 --plot blocks.txt", "Three policies, drawn as text."},
    {"zstdcat trace.oracleGeneral.zst | tenure simulate -", "A trace from standard input."},
}};

inline constexpr std::array<exit_code_entry, 3> simulate_codes = {{
    {"0", "All went well."},
    {"2", "The command line was wrong, TRACE cannot be read or is damaged, or the output cannot be written."},
    {"70", "Tenure itself failed."},
}};

inline constexpr std::string_view simulate_description =
    "Reads TRACE, the requests that some cache had to serve, and says for each eviction policy of the library and "
    "each size what part of the requests it would have hit, and what part of the bytes asked for. opt is Belady's "
    "choice, which knows the future: where every object takes one place, nothing can hit more. With --bytes it is a "
    "good choice and not the best.\n\n"
    "TRACE is libCacheSim's oracleGeneral (uncompressed) or csv, a list of integers, one a line, or an ARC or LIRS "
    "trace; - is standard input. Every miss puts the object into the cache; an object that comes back with another "
    "size is a miss with --bytes.";

}  // namespace tenure::cli
