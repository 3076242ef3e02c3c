// The ledger: one table of accounts for the process, at one address for its whole life.
//
//   account* ──▶ ┌─────────────────────────────┐   no session     anonymous memory
//                │ header │ record │ record │…  │   a session      the accounts of the region's file, mapped there
//                └─────────────────────────────┘   fork's child   its own copy, then its own region's file
//
// What is behind the address is exchanged (MAP_FIXED) and the address never: an account is the pointer to its record,
// a charge is one compare-and-swap on it, and the command reads the same record with no work in the program. A process
// without accounts has no table.
//
// Names of closed accounts are kept with their peaks, so that an owner which is gone before the program ends is still
// told of. An account of the same name, kind and parent takes up a closed record again; other records are taken only
// when none is unused.
//
// Thread-safe; takes a lock of its own, which is held around nothing but this table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/os/mutex.h"
#include "wire/account.h"

namespace tenure::budget {

using account = wire::account_record;

// Name and kind are cut to what the record has room for. Null, with the refusal counted, when there is no record or no
// memory. `parent` may be null and must be open otherwise.
account* open(const char* name, const char* kind, account* parent) noexcept;

// What it still holds leaves the accounts above too. False, and nothing happens, while accounts below it are open or
// shrinkers are registered with it.
bool close(account* closed) noexcept;

// The record above, or null.
account* parent_of(const account* of) noexcept;
// Whether the pointer leads to an open record. Any value may be asked for.
bool is_open(const account* of) noexcept;
// Whether `of` is `above` or stands below it.
bool is_at_or_below(const account* of, const account* above) noexcept;

// soft <= hard is not needed: each is looked at by itself. wire::no_limit is none.
void set_limits(account* of, std::uint64_t soft_bytes, std::uint64_t hard_bytes) noexcept;

// Makes the owner's line part of the record, from now on.
wire::account_use* publish_use(account* of) noexcept;

std::uint32_t record_count() noexcept;
account* record_at(std::uint32_t index) noexcept;
std::uint64_t refused_accounts() noexcept;

// The table moves into the file at `offset_bytes`; its pages are asked for by `populate`, which can fail where a touch
// would end in SIGBUS. False, and the table stays where it was, when the file cannot be mapped.
using populate_function = bool (*)(std::byte* begin, std::size_t bytes) noexcept;
bool move_to_file(int descriptor, std::uint64_t offset_bytes, populate_function populate) noexcept;

// The table as it stands, to `to`, which holds wire::account_table_bytes and whose pages are asked for. False when the
// table is being changed, or the pages cannot be had; never waits.
bool copy_to(std::byte* to, populate_function populate) noexcept;

// For contents.h: the lock of the table; the place of its part; its pages, where they have to be asked for.
os::mutex& table_lock() noexcept;
wire::account_table_header& table_header() noexcept;
wire::content_record* content_records() noexcept;
bool have_pages(std::byte* first, std::size_t bytes) noexcept;

// Around fork. The child goes on from what before_fork() saw.
void before_fork() noexcept;
void after_fork_in_parent() noexcept;
void after_fork_in_child() noexcept;

// Whether figures may be out of step with their owners: in the child of a fork, whose parent had other threads.
bool is_forked() noexcept;

// Aborts when the table contradicts itself.
void check() noexcept;

}  // namespace tenure::budget
