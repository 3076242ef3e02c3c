// rc and arc beside std::shared_ptr: the same operations on both, and the same to be seen.
#include <pthread.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include "../../support/dice.h"
#include "reference_kinds.h"

namespace tenure::test {
namespace {

template <class Kind>
struct ReferenceConformance : ::testing::Test {};
TYPED_TEST_SUITE(ReferenceConformance, reference_kinds);

struct counted_object {
  explicit counted_object(int of) : value(of) { ++alive; }
  counted_object(const counted_object&) = delete;
  counted_object& operator=(const counted_object&) = delete;
  virtual ~counted_object() { --alive; }
  int value;
  inline static int alive = 0;
};
struct other_base {
  virtual ~other_base() = default;
  int other = 7;
};
struct derived_object : counted_object, other_base {
  using counted_object::counted_object;
};

// Ours and the standard's references to twins, in the same places.
template <class Kind>
struct twins {
  using strong = typename Kind::template strong<counted_object>;
  using weak = typename Kind::template weak<counted_object>;
  static constexpr std::uint32_t places = 12;
  std::vector<strong> ours{places};
  std::vector<weak> our_weak{places};
  std::vector<std::shared_ptr<int>> theirs{places};
  std::vector<std::weak_ptr<int>> their_weak{places};
  dice random{11};

  void step(int number) {
    const std::uint32_t a = random.below(places);
    const std::uint32_t b = random.below(places);
    switch (random.below(8)) {
      case 0:
        ours[a] = Kind::template make<derived_object>(number);
        theirs[a] = std::make_shared<int>(number);
        break;
      case 1:
        ours[a] = ours[b];
        theirs[a] = theirs[b];
        break;
      case 2:
        if (a == b) break;
        ours[a] = std::move(ours[b]);
        theirs[a] = std::move(theirs[b]);
        break;
      case 3:
        ours[a].reset();
        theirs[a].reset();
        break;
      case 4:
        our_weak[a] = ours[b];
        their_weak[a] = theirs[b];
        break;
      case 5:
        our_weak[a] = our_weak[b];
        their_weak[a] = their_weak[b];
        break;
      case 6:
        ours[a] = our_weak[b].lock();
        theirs[a] = their_weak[b].lock();
        break;
      default:
        swap(ours[a], ours[b]);
        swap(theirs[a], theirs[b]);
    }
  }
  void compare() const {
    for (std::uint32_t i = 0; i < places; ++i) {
      ASSERT_EQ(ours[i].use_count(), theirs[i].use_count());
      ASSERT_EQ(our_weak[i].use_count(), their_weak[i].use_count());
      ASSERT_EQ(our_weak[i].expired(), their_weak[i].expired());
      ASSERT_EQ(ours[i] == nullptr, theirs[i] == nullptr);
      if (ours[i]) {
        ASSERT_EQ(ours[i]->value, *theirs[i]);
      }
      for (std::uint32_t j = 0; j < places; ++j) {
        ASSERT_EQ(ours[i] == ours[j], theirs[i] == theirs[j]);
        ASSERT_EQ(ours[i].owner_equal(our_weak[j]),
                  !theirs[i].owner_before(their_weak[j]) && !their_weak[j].owner_before(theirs[i]));
      }
    }
  }
  std::size_t live_of_theirs() const {
    std::unordered_set<const int*> different;
    for (const auto& one : theirs) {
      if (one) different.insert(one.get());
    }
    return different.size();
  }
};

TYPED_TEST(ReferenceConformance, AgreesWithTheStandardsOnRandomOperations) {
  {
    twins<TypeParam> both;
    for (int i = 0; i < 20'000; ++i) {
      both.step(i);
      if (i % 16 == 0) both.compare();
      ASSERT_EQ(counted_object::alive, static_cast<int>(both.live_of_theirs()));
      if (this->HasFatalFailure()) return;
    }
  }
  EXPECT_EQ(counted_object::alive, 0);
}

TYPED_TEST(ReferenceConformance, ConvertsAndCasts) {
  auto derived = TypeParam::template make<derived_object>(1);
  typename TypeParam::template strong<other_base> second = derived;
  EXPECT_EQ(second->other, 7);
  EXPECT_EQ(second.use_count(), 2);
  EXPECT_EQ(second.get(), static_cast<other_base*>(derived.get()));
  typename TypeParam::template strong<const counted_object> constant = derived;
  EXPECT_EQ(const_pointer_cast<counted_object>(constant), derived);
  EXPECT_EQ(dynamic_pointer_cast<derived_object>(second), derived);
  EXPECT_EQ(static_pointer_cast<const derived_object>(constant), derived);
  auto plain = TypeParam::template make<counted_object>(2);
  EXPECT_EQ(dynamic_pointer_cast<derived_object>(plain), nullptr);
  EXPECT_EQ(plain.use_count(), 1);
  typename TypeParam::template strong<void> unknown = std::move(derived);
  EXPECT_EQ(derived, nullptr);
  constant = nullptr;
  second = nullptr;
  EXPECT_EQ(counted_object::alive, 2);
  EXPECT_EQ(static_pointer_cast<derived_object>(unknown)->value, 1);
  typename TypeParam::template weak<other_base> weak_second =
      typename TypeParam::template weak<derived_object>(static_pointer_cast<derived_object>(unknown));
  EXPECT_EQ(weak_second.lock()->other, 7);
  unknown.reset();
  EXPECT_EQ(counted_object::alive, 1);
  EXPECT_TRUE(weak_second.expired());
}

TYPED_TEST(ReferenceConformance, AliasesKeepTheWhole) {
  using strong_int = typename TypeParam::template strong<int>;
  auto whole = TypeParam::template make<counted_object>(5);
  strong_int part(whole, &whole->value);
  EXPECT_TRUE(part.owner_equal(whole));
  strong_int moved(std::move(whole), part.get());
  EXPECT_EQ(whole, nullptr);
  EXPECT_EQ(moved.use_count(), 2);
  part.reset();
  EXPECT_EQ(*moved, 5);
  EXPECT_EQ(counted_object::alive, 1);
  moved.reset();
  EXPECT_EQ(counted_object::alive, 0);
}

TYPED_TEST(ReferenceConformance, TakesOverUniquePointersAndDeleters) {
  typename TypeParam::template strong<counted_object> one = std::make_unique<derived_object>(3);
  EXPECT_EQ(one->value, 3);
  typename TypeParam::template weak<counted_object> seen = one;
  one = std::unique_ptr<counted_object>();
  EXPECT_EQ(one, nullptr);
  EXPECT_TRUE(seen.expired());
  int ended = 0;
  int thing = 0;
  {
    typename TypeParam::template strong<int> held(&thing, [&](const int* of) { ended += of == &thing ? 1 : 100; });
    auto again = held;
  }
  EXPECT_EQ(ended, 1);
  // One that can only be moved.
  auto end_it = [key = std::make_unique<int>(1), &ended](const int*) { ended += *key; };
  { typename TypeParam::template strong<int> held(&thing, std::move(end_it)); }
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(counted_object::alive, 0);
}

struct shy {
  shy* operator&() { return nullptr; }  // NOLINT(google-runtime-operator)
  int value = 3;
};

TYPED_TEST(ReferenceConformance, TakesNoAddressThatATypeMakesUp) {
  const auto one = TypeParam::template make<shy>();
  ASSERT_TRUE(one);
  EXPECT_EQ(one->value, 3);
  EXPECT_EQ(TypeParam::template allocate<shy>(*std::pmr::new_delete_resource())->value, 3);
}

TYPED_TEST(ReferenceConformance, AWeakReferenceThatIsLateThrows) {
  typename TypeParam::template weak<counted_object> seen;
  using strong = typename TypeParam::template strong<counted_object>;
  EXPECT_THROW(strong{seen}, std::bad_weak_ptr);
  auto one = TypeParam::template make<counted_object>(1);
  seen = one;
  EXPECT_EQ(strong(seen), one);
  one.reset();
  EXPECT_THROW(strong{seen}, std::bad_weak_ptr);
}

TYPED_TEST(ReferenceConformance, AreKeysOfMaps) {
  using strong = typename TypeParam::template strong<int>;
  std::map<strong, int> ordered;
  std::unordered_set<strong> hashed;
  std::vector<strong> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(TypeParam::template make<int>(i));
    ordered[all.back()] = i;
    hashed.insert(all.back());
  }
  for (const strong& one : all) {
    EXPECT_EQ(ordered.at(one), *one);
    EXPECT_TRUE(hashed.contains(one));
  }
}

// Every block with its size, so that one that is given back with another is seen.
struct strict_resource final : std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++allocations;
    void* const memory = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    live[memory] = {bytes, alignment};
    return memory;
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    EXPECT_EQ(live.at(memory), std::pair(bytes, alignment));
    live.erase(memory);
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
  int allocations = 0;
  std::map<void*, std::pair<std::size_t, std::size_t>> live;
};

TYPED_TEST(ReferenceConformance, TakesOneBlockFromAResource) {
  strict_resource memory;
  struct alignas(64) wide {
    std::uint64_t words[16] = {};
  };
  auto one = TypeParam::template allocate<wide>(memory);
  EXPECT_EQ(memory.allocations, 1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one.get()) % 64, 0u);
  typename TypeParam::template weak<wide> seen = one;
  one.reset();
  EXPECT_EQ(memory.live.size(), 1u) << "the weak reference keeps the block";
  seen.reset();
  EXPECT_TRUE(memory.live.empty());
  // What takes an allocator gets the resource.
  auto text = TypeParam::template allocate<std::pmr::string>(memory, std::string(100, 'x'));
  EXPECT_EQ(memory.live.size(), 2u);
  EXPECT_EQ(text->get_allocator().resource(), &memory);
  text.reset();
  EXPECT_TRUE(memory.live.empty());
  struct thrower {
    thrower() { throw std::runtime_error("no"); }
  };
  EXPECT_THROW(TypeParam::template allocate<thrower>(memory), std::runtime_error);
  EXPECT_THROW(TypeParam::template make<thrower>(), std::runtime_error);
  EXPECT_TRUE(memory.live.empty());
}

template <class Kind>
struct link {
  typename Kind::template strong<link> next;
  typename Kind::template strong<link> side;
  link() { ++alive; }
  ~link() { --alive; }
  inline static int alive = 0;
};

// On a stack on which a call for each node would not fit.
void on_a_small_stack(void (*body)()) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 512 << 10), 0);
  pthread_t thread;
  const auto run = [](void* of) -> void* {
    reinterpret_cast<void (*)()>(of)();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, reinterpret_cast<void*>(body)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TYPED_TEST(ReferenceConformance, EndsALongChainWithoutDepth) {
  using node = link<TypeParam>;
  on_a_small_stack([] {
    typename TypeParam::template strong<node> head;
    for (int i = 0; i < 200'000; ++i) {
      auto fresh = TypeParam::template make<node>();
      fresh->next = std::move(head);
      fresh->side = TypeParam::template make<node>();
      head = std::move(fresh);
    }
    EXPECT_EQ(node::alive, 400'000);
    head.reset();
    EXPECT_EQ(node::alive, 0) << "all have ended when the call returns";
  });
}

}  // namespace
}  // namespace tenure::test
