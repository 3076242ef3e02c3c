// Any of the eviction policies behind virtual calls, so that a test of all of them compiles what it tests once.
//
//     any_policy::chosen = &policy_named("lirs");
//     cache<int, int, any_policy> shipped(limit_entries{100});     // runs lirs
#pragma once

#include <gtest/gtest.h>
#include <tenure/eviction/policy.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tenure::test {

class any_policy : eviction::not_copied {
 public:
  static constexpr std::string_view name = "any";

  // The policy's own node lies in it, from insert() on.
  struct node : eviction::weighed {
    alignas(8) std::array<std::byte, 64> room;
  };
  class taker {
   public:
    template <class evict_function>
    explicit taker(evict_function& evict)
        : evict_(&evict), call_([](void* to, node& gone) { (*static_cast<evict_function*>(to))(gone); }) {}
    void operator()(node& gone) const { call_(evict_, gone); }

   private:
    void* evict_;
    void (*call_)(void*, node&);
  };
  struct running {
    virtual ~running() = default;
    virtual void insert(node& one, const taker& evict) = 0;
    virtual void hit(node& one) = 0;
    virtual void erase(node& one) = 0;
    virtual bool evict_one(const taker& evict) = 0;
    virtual void set_capacity(std::uint64_t capacity, const taker& evict) = 0;
    virtual std::uint64_t capacity() const = 0;
    virtual std::uint64_t used() const = 0;
    virtual std::size_t count() const = 0;
    virtual std::size_t side_bytes() const = 0;
    virtual void check() const = 0;
  };
  struct kind {
    std::string_view name;
    std::unique_ptr<running> (*make)(std::uint64_t capacity, std::size_t side_limit_bytes);
  };
  // What the next ones run.
  inline static const kind* chosen = nullptr;

  explicit any_policy(std::uint64_t capacity, std::size_t side_limit_bytes = eviction::no_limit)
      : running_(chosen->make(capacity, side_limit_bytes)) {}

  template <class evict_function>
  void insert(node& one, evict_function&& evict) {
    running_->insert(one, taker(evict));
  }
  void hit(node& one) { running_->hit(one); }
  void erase(node& one) noexcept { running_->erase(one); }
  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    return running_->evict_one(taker(evict));
  }
  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    running_->set_capacity(capacity, taker(evict));
  }
  std::uint64_t capacity() const noexcept { return running_->capacity(); }
  std::uint64_t used() const noexcept { return running_->used(); }
  std::size_t count() const noexcept { return running_->count(); }
  std::size_t side_bytes() const noexcept { return running_->side_bytes(); }
  void check() const noexcept { running_->check(); }

 private:
  std::unique_ptr<running> running_;
};

// In the order of the documentation; one of them by its name.
const std::vector<const any_policy::kind*>& policies();
const any_policy::kind& policy_named(std::string_view name);

// Suites that run for each of the policies, named for it.
class of_every_policy : public testing::TestWithParam<const any_policy::kind*> {
 protected:
  of_every_policy() { any_policy::chosen = GetParam(); }
};
inline std::string name_of(const testing::TestParamInfo<const any_policy::kind*>& info) {
  std::string name;
  for (const char letter : info.param->name) name += letter == '-' ? '_' : letter;
  return name;
}

}  // namespace tenure::test
