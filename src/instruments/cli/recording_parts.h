// What the answers of all commands on recordings have in common: what is missing, whose stack it is, amounts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "instruments/analyze/exact.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

std::string size_of(std::uint64_t bytes);
// "4711"; where the process is known by another tool alone, "not known".
std::string pid_text(const collect::process_record& record);
std::uint64_t since_start_of(const collect::process_record& record, std::uint64_t time_ns);

// How the process came to be told of: "forked", and in JSON "fork".
std::string_view origin_text(wire::origin origin);
std::string_view origin_code(wire::origin origin);

// Lines below a process's figures: what of it was lost.
std::string losses_text(const collect::process_record& record, const collect::tape_losses& lost, bool is_complete,
                        std::uint64_t stray_frees, const palette& paint);
// Lines above all figures: what is wrong with the recording.
std::string notes_text(const std::optional<std::string>& damage, bool is_complete,
                       const std::vector<std::string>& notes, const palette& paint);
// "table.cc:42 < load < main"
std::string chain_text(const std::vector<analyze::frame>& chain);
// "table.cc:42 < load < main" of a site's identity: its place and who calls it, without the modules.
std::string callers_text(const std::string& place, const std::vector<std::string>& identity);

// A stack as an array, and notes.
void write_stack(json_writer& json, const std::vector<analyze::frame>& chain);
void write_notes(json_writer& json, const std::vector<std::string>& notes);
void write_amount(json_writer& json, const char* name, const analyze::exact_amount& amount);
void write_losses(json_writer& json, const collect::process_record& record, const collect::tape_losses& lost);
// By thread alone, as an array of that name.
void write_losses_by_thread(json_writer& json, const char* name, const collect::process_record& record,
                            const collect::tape_losses& lost);

}  // namespace tenure::cli
