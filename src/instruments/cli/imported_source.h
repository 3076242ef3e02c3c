// Imported source: what is said of a recording that another tool's data were made into, and what cannot be asked of it.
#pragma once

#include <optional>
#include <string>

#include "instruments/cli/json_text.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/terminal.h"
#include "instruments/collect/recording_source.h"

namespace tenure::cli {

// Lines above all figures; empty for what Tenure has recorded itself.
std::string source_text(const std::optional<collect::recording_source>& source, int columns, const palette& paint);
// "imported from heaptrack 1.4.0, which does not tell ..."
std::string source_sentence(const collect::recording_source& source);
void write_source(json_writer& json, const std::optional<collect::recording_source>& source);

// What is not known, by its first gap among these; nothing when all is: "a.tenure is of a pprof profile, which ...".
std::optional<std::string> missing(const std::optional<collect::recording_source>& source, std::uint64_t needed,
                                   const std::string& subject, const std::string& recording);

// Why the query has no answer, in one sentence; nothing when it has one.
std::optional<std::string> unanswerable(const std::optional<collect::recording_source>& source,
                                        const recording_query& query);

}  // namespace tenure::cli
