// The containers of C++ programs: nodes of maps, sets and lists that come and go beside vectors that double.
#include <cstddef>
#include <deque>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::uint64_t turns_whole = 1'600'000;
constexpr std::size_t keys = 60'000;
constexpr std::size_t queue_most = 5'000;

struct session {
  std::uint64_t id;
  std::string user;
  std::vector<std::uint32_t> visits;
};

// A service in miniature: an ordered index, a hash table of sessions, a queue of events and a list of the recent.
struct service {
  std::map<std::uint64_t, std::shared_ptr<session>> index;
  std::unordered_map<std::uint64_t, std::shared_ptr<session>> sessions;
  std::deque<std::unique_ptr<std::uint64_t>> events;
  std::list<std::weak_ptr<session>> recent;
};

void open_session(service& where, std::uint64_t key) {
  auto fresh = std::make_shared<session>(session{key, "user-of-the-service-" + std::to_string(key), {}});
  where.index.insert_or_assign(key, fresh);
  where.recent.push_back(fresh);
  where.sessions.insert_or_assign(key, std::move(fresh));
}

void one_turn(service& where, random_source& random) {
  const std::uint64_t key = random.below(keys);
  const auto found = where.sessions.find(key);
  if (found == where.sessions.end()) {
    open_session(where, key);
  } else if (random.below(3) == 0) {
    where.index.erase(key);
    where.sessions.erase(found);
  } else {
    found->second->visits.push_back(static_cast<std::uint32_t>(key));
  }
  where.events.push_back(std::make_unique<std::uint64_t>(key));
  if (where.events.size() > queue_most) {
    where.events.pop_front();
  }
  if (where.recent.size() > queue_most) {
    where.recent.pop_front();
  }
}

std::uint64_t run_containers(std::uint64_t divisor) {
  random_source random(61);
  service where;
  const std::uint64_t turns = turns_whole / divisor;
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    one_turn(where, random);
  }
  return turns;
}

constexpr workload all[] = {
    {"containers", "maps, hash tables, deque, list, shared pointers and vectors of a small service", run_containers},
};

}  // namespace

workload_list container_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
