// tenure::eviction: which entry goes when there is no room.
//
// All policies have one interface (eviction/policy.hpp), work on nodes that are embedded in the entries, and keep a
// capacity in entries or in bytes. tenure::cache takes one as a parameter; simulation<policy> and optimal_hits() say
// what a policy, and what the best of all, would have hit on a trace.
#pragma once

#include <tenure/eviction/adaptive.hpp>
#include <tenure/eviction/arc.hpp>
#include <tenure/eviction/belady.hpp>
#include <tenure/eviction/clock.hpp>
#include <tenure/eviction/fifo.hpp>
#include <tenure/eviction/lfu.hpp>
#include <tenure/eviction/lirs.hpp>
#include <tenure/eviction/lru.hpp>
#include <tenure/eviction/lru_k.hpp>
#include <tenure/eviction/random_choice.hpp>
#include <tenure/eviction/s3_fifo.hpp>
#include <tenure/eviction/sieve.hpp>
#include <tenure/eviction/simulation.hpp>
#include <tenure/eviction/two_queue.hpp>
#include <tenure/eviction/w_tiny_lfu.hpp>
