#include "instruments/cli/top_json.h"

#include <cmath>

#include "instruments/cli/json_text.h"

namespace tenure::cli {
namespace {

// Estimates of bytes and blocks: a part of one means nothing.
void write_whole(json_writer& json, const char* name, double value) {
  json.member(name, static_cast<std::int64_t>(std::llround(value)));
}

void write_row(json_writer& json, const top_row& row) {
  json.begin_object();
  json.member("name", row.name);
  write_whole(json, "live_bytes", row.live_bytes);
  write_whole(json, "live_bytes_error", row.live_bytes * row.live_error);
  write_whole(json, "live_blocks", row.live_blocks);
  write_whole(json, "allocated_bytes", row.allocated_bytes);
  write_whole(json, "bytes_per_second", row.bytes_per_second);
  if (row.limit_bytes != 0) write_whole(json, "limit_bytes", row.limit_bytes);
  json.end_object();
}

}  // namespace

std::string top_json(const top_figures& figures, const top_state& state, std::size_t most) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.top/1");
  json.member("pid", static_cast<std::int64_t>(figures.pid));
  json.member("command", figures.command);
  json.member("watched_ns", static_cast<std::int64_t>(figures.watched_ns));
  write_whole(json, "resident_bytes", figures.resident_bytes);
  write_whole(json, "limit_bytes", figures.limit_bytes);
  json.member("limit", figures.limit_name);
  json.begin_object("parts");
  write_whole(json, "live_bytes", figures.parts.live);
  write_whole(json, "kept_bytes", figures.parts.kept);
  write_whole(json, "outside_bytes", figures.parts.outside);
  json.end_object();
  write_whole(json, "live_bytes", figures.live_bytes);
  write_whole(json, "live_bytes_error", figures.live_bytes * figures.live_error);
  write_whole(json, "bytes_per_second", figures.bytes_per_second);
  json.member("samples", static_cast<std::int64_t>(figures.samples));
  json.member("dropped_events", static_cast<std::int64_t>(figures.dropped_events));
  json.member("table", name_of(state.table));
  constexpr const char* orders[] = {"live", "rate", "blocks", "allocated", "name"};
  json.member("by", orders[static_cast<std::size_t>(state.order)]);
  json.member("filter", state.filter);
  const auto rows = rows_of(figures, state);
  json.member("row_count", static_cast<std::int64_t>(rows.size()));
  json.begin_array("rows");
  for (std::size_t i = 0; i < rows.size() && i < most; ++i) write_row(json, *rows[i]);
  json.end_array();
  json.end_object();
  return json.text();
}

}  // namespace tenure::cli
