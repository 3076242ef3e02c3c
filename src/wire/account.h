// Accounts: who holds how much, exactly, as it lies in the region (or, without a session, in the program's own memory).
//
//   account_table_header     one OS page: how many records have been used
//   +4 KiB                   account_record[account_capacity]
//   +576 KiB                 content_record[content_capacity]: what lies in them, by type and call site
//
//   account_record   four cache lines, because three parties write it
//     line 0   held: changed by whoever charges and releases, by compare-and-swap; the limits stand beside it
//     line 1   used: published by the owner (an arena, a pool), which knows what its users have of what it holds
//     line 2   the name, line 3 the kind: written once
//
// Held bytes are what the limits bound: memory that the account's owner has taken. Used bytes are the part of it that
// the owner's users have. An account whose owner does not tell them apart has no line 1 (publishes_use is 0), and its
// held bytes stand for both. Held bytes of an account contain those of the accounts below it.
//
// An owner that samples its objects tells, sample by sample, of what type they are and where they were made: one record
// for all that have both in common. Figures of a record are raised and lowered as its samples come and go, so that they
// stand whenever the program ends. One without samples is free and may come to mean something else: `changes` is odd
// meanwhile, and another number afterwards.
//
// Fields that change while both sides run are accessed with __atomic built-ins.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::wire {

inline constexpr std::uint32_t account_capacity = 2048;
inline constexpr std::uint32_t no_account = 0xffffffff;
inline constexpr std::uint64_t no_limit = ~0ull;

enum class account_state : std::uint32_t {
  unused = 0,
  open = 1,
  closed = 2,  // its owner is gone; peaks and totals stay until the record is needed again
};

struct alignas(64) account_use {
  std::uint64_t used_bytes;
  std::uint64_t used_blocks;
  std::uint64_t peak_used_bytes;
  std::uint64_t allocations;  // since the account was first opened
};

struct account_record {
  std::uint64_t held_bytes;
  std::uint64_t held_blocks;
  std::uint64_t peak_held_bytes;
  std::uint64_t soft_limit_bytes;  // no_limit: none
  std::uint64_t hard_limit_bytes;
  std::uint64_t refusals;  // charges that met the hard limit of this account and stayed refused
  std::uint32_t state;     // account_state
  std::uint32_t parent;    // index of the record above, or no_account
  std::uint32_t openings;  // how often an account of this name was opened in this record
  std::uint32_t publishes_use;
  account_use use;
  char name[64];
  char kind[24];  // "heap", "arena", "pool" ...
  std::uint64_t reserved[5];
};
static_assert(sizeof(account_use) == 64);
static_assert(sizeof(account_record) == 256);

struct account_table_header {
  std::uint32_t record_count;      // atomic: records [0, record_count) have been used
  std::uint32_t refused;           // atomic: accounts that found no record; what they hold is in no figure
  std::uint32_t content_count;     // atomic: content records [0, content_count) have been used
  std::uint32_t refused_contents;  // atomic: samples that found no record
};

inline constexpr std::uint32_t content_capacity = 1024;
inline constexpr std::uint32_t content_frames = 12;

struct content_record {
  std::uint64_t bytes;               // that the samples stand for; atomic
  std::uint64_t object_thousandths;  // likewise: a sample stands for 1 and a fraction
  std::uint32_t samples;             // atomic; 0: the record is free
  std::uint32_t changes;             // atomic
  std::uint32_t account;             // index of its record
  std::uint32_t frame_count;
  std::uint64_t frames[content_frames];  // return addresses, innermost first
  char type[128];                        // as the owner names it; not terminated where it is as long
};
static_assert(sizeof(content_record) == 256);

inline constexpr std::uint64_t account_records_offset_bytes = 4096;
inline constexpr std::uint64_t content_records_offset_bytes = 576 * 1024;
// A multiple of every size that an OS page has.
inline constexpr std::uint64_t account_table_bytes = 832 * 1024;
static_assert(account_records_offset_bytes + account_capacity * sizeof(account_record) <= content_records_offset_bytes);
static_assert(content_records_offset_bytes + content_capacity * sizeof(content_record) <= account_table_bytes);

}  // namespace tenure::wire
