// Resolved names: what a recording itself says of the places in its programs, so that it can be read where neither the
// programs nor their debug files are.
//
//   location ──► answer ──► frames, innermost first ──► texts
//
// Answers and texts are those of the whole recording: processes that ran the same program share them. In the file they
// are blocks of the kinds `names` and `named`.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "instruments/record/byte_stream.h"
#include "instruments/symbols/symbolizer.h"

namespace tenure::collect {

class resolved_names {
 public:
  // The contents of a `names` block; false when they make no sense.
  bool take(record::byte_reader from);
  // How many answers there are.
  std::size_t size() const { return ends_.size(); }
  std::vector<symbols::frame> frames(std::uint32_t answer) const;

 private:
  struct stored_frame {
    std::uint32_t function = 0, file = 0, system_name = 0;  // texts
    std::uint32_t line = 0;
    bool is_inlined = false, is_named = false;
  };
  std::vector<std::string> texts_ = {""};
  std::vector<stored_frame> frames_;
  std::vector<std::size_t> ends_;  // of each answer's frames
};

class names_writer {
 public:
  using put_function = std::function<void(std::span<const std::uint8_t> block)>;
  explicit names_writer(put_function put) : put_(std::move(put)) {}

  // The answer's number; equal frames have one.
  std::uint32_t add(const std::vector<symbols::frame>& frames);
  // Puts what was added and has not been put yet. What names an answer comes after that.
  void flush();

 private:
  std::uint64_t number_of(const std::string& text);

  put_function put_;
  std::unordered_map<std::string, std::uint64_t> texts_;
  std::unordered_map<std::string, std::uint32_t> answers_;  // by their bytes in the block
  record::byte_writer new_texts_, new_answers_;
  std::uint64_t new_text_count_ = 0, new_answer_count_ = 0;
};

// The contents of a `named` block: of locations one after the other, no_index for those without an answer.
record::byte_writer encode_answers(std::span<const std::uint32_t> answers);

}  // namespace tenure::collect
