#include "instruments/collect/resolved_names.h"

#include <limits>
#include <string_view>
#include <utility>

#include "instruments/collect/recording.h"

namespace tenure::collect {
namespace {

constexpr std::uint64_t inlined_flag = 1, named_flag = 2, flag_limit = 4;

constexpr std::uint64_t frames_limit = 4096;          // of one answer
constexpr std::size_t usual_block_bytes = 16u << 20;  // one is put when it is so long
constexpr std::uint64_t line_limit = std::uint64_t{std::numeric_limits<std::uint32_t>::max()} + 1;

}  // namespace

bool resolved_names::take(record::byte_reader from) {
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) texts_.push_back(from.text());
  const auto text = [&] { return static_cast<std::uint32_t>(from.number_below(texts_.size())); };
  for (std::uint64_t left = from.count(); left != 0 && from.ok(); --left) {
    const std::uint64_t count = from.number_below(frames_limit);
    if (count == 0) return false;
    for (std::uint64_t i = 0; i < count && from.ok(); ++i) {
      stored_frame one;
      one.function = text();
      one.file = text();
      one.line = static_cast<std::uint32_t>(from.number_below(line_limit));
      const std::uint64_t flags = from.number_below(flag_limit);
      one.is_inlined = (flags & inlined_flag) != 0;
      one.is_named = (flags & named_flag) != 0;
      one.system_name = text();
      frames_.push_back(one);
    }
    ends_.push_back(frames_.size());
  }
  return from.ok() && texts_.size() < no_index && frames_.size() < no_index;
}

std::vector<symbols::frame> resolved_names::frames(std::uint32_t answer) const {
  std::vector<symbols::frame> result;
  for (std::size_t i = answer == 0 ? 0 : ends_[answer - 1]; i < ends_[answer]; ++i) {
    const stored_frame& one = frames_[i];
    result.push_back({.function = texts_[one.function],
                      .file = texts_[one.file],
                      .line = one.line,
                      .is_inlined = one.is_inlined,
                      .system_name = texts_[one.system_name],
                      .is_named = one.is_named});
  }
  return result;
}

std::uint64_t names_writer::number_of(const std::string& text) {
  if (text.empty()) return 0;
  const auto [place, is_new] = texts_.try_emplace(text, texts_.size() + 1);
  if (is_new) {
    new_texts_.text(text);
    ++new_text_count_;
  }
  return place->second;
}

std::uint32_t names_writer::add(const std::vector<symbols::frame>& frames) {
  record::byte_writer answer;
  answer.number(frames.size());
  for (const symbols::frame& one : frames) {
    answer.number(number_of(one.function));
    answer.number(number_of(one.file));
    answer.number(one.line);
    answer.number((one.is_inlined ? inlined_flag : 0u) | (one.is_named ? named_flag : 0u));
    answer.number(number_of(one.system_name));
  }
  const std::string_view bytes(reinterpret_cast<const char*>(answer.bytes().data()), answer.size());
  const auto [place, is_new] = answers_.try_emplace(std::string(bytes), static_cast<std::uint32_t>(answers_.size()));
  if (is_new) {
    new_answers_.append_bytes(answer.bytes());
    ++new_answer_count_;
    if (new_answers_.size() + new_texts_.size() >= usual_block_bytes) flush();
  }
  return place->second;
}

void names_writer::flush() {
  if (new_text_count_ + new_answer_count_ == 0) return;
  record::byte_writer block;
  block.number(std::exchange(new_text_count_, 0));
  block.append_bytes(new_texts_.bytes());
  block.number(std::exchange(new_answer_count_, 0));
  block.append_bytes(new_answers_.bytes());
  new_texts_.clear();
  new_answers_.clear();
  put_(block.bytes());
}

record::byte_writer encode_answers(std::span<const std::uint32_t> answers) {
  record::byte_writer block;
  block.number(answers.size());
  for (const std::uint32_t answer : answers) block.number(answer == no_index ? 0 : std::uint64_t{answer} + 1);
  return block;
}

}  // namespace tenure::collect
