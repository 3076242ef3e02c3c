// What values own, against the blocks that the test knows of; and of which types it is known.
#include <gtest/gtest.h>
#include <malloc.h>
#include <tenure/cache/measure.hpp>

#include <functional>
#include <map>

namespace tenure::test {
namespace {

struct person {
  std::string name;
  int age;
  std::vector<std::string> friends;
};
struct household {
  person head;
  std::optional<person> other;
};
struct sharer {
  std::shared_ptr<int> shared;
};
struct base {
  virtual ~base() = default;
  std::string text;
};

static_assert(measurable<int> && measurable<const char*> && measurable<std::array<int, 4>>);
static_assert(measurable<std::string> && measurable<std::vector<std::string>> &&
              measurable<std::vector<std::vector<int>>>);
static_assert(measurable<person> && measurable<household> && measurable<std::unique_ptr<person>>);
static_assert(measurable<std::pair<int, std::string>> && measurable<std::tuple<std::string, int>>);
static_assert(measurable<std::variant<int, std::string>> && measurable<std::optional<std::string>>);
static_assert(measurable<std::pmr::map<int, std::pmr::string>> && measurable<std::pmr::map<int, std::string>>);
static_assert(!measurable<std::shared_ptr<int>> && !measurable<sharer> && !measurable<std::function<void()>>);
static_assert(!measurable<std::map<int, int>> && !measurable<std::pmr::vector<std::shared_ptr<int>>>);
static_assert(!measurable<base> && !measurable<std::unique_ptr<base>>);

std::uint64_t block(const void* at) { return malloc_usable_size(const_cast<void*>(at)); }

TEST(measure, asks_the_heap_for_each_block) {
  const std::string near = "short", far(1000, 'x');
  EXPECT_EQ(owned_bytes(near), 0u);
  EXPECT_EQ(owned_bytes(far), block(far.data()));
  EXPECT_GE(owned_bytes(far), 1001u);
  std::vector<std::string> several;
  EXPECT_EQ(owned_bytes(several), 0u);
  several.reserve(100);
  several.push_back(far);
  EXPECT_EQ(owned_bytes(several), block(several.data()) + block(several[0].data())) << "what is reserved is owned";
  const std::unique_ptr<std::string> pointer = std::make_unique<std::string>(far);
  EXPECT_EQ(owned_bytes(pointer), block(pointer.get()) + block(pointer->data()));
  const std::unique_ptr<char[]> array = std::make_unique<char[]>(500);
  EXPECT_EQ(owned_bytes(array), block(array.get()));
}

TEST(measure, goes_through_members) {
  const household two{{std::string(100, 'a'), 30, {std::string(200, 'b')}}, person{"", 2, {std::string(300, 'c')}}};
  EXPECT_EQ(owned_bytes(two), block(two.head.name.data()) + block(two.head.friends.data()) +
                                  block(two.head.friends[0].data()) + block(two.other->friends.data()) +
                                  block(two.other->friends[0].data()));
  const std::variant<int, std::string> either = std::string(100, 'x');
  EXPECT_EQ(owned_bytes(either), block(std::get<1>(either).data()));
  const std::array<std::string, 2> both{std::string(100, 'x'), std::string(50, 'y')};
  EXPECT_EQ(owned_bytes(both), block(both[0].data()) + block(both[1].data()));
}

// The blocks of a container with an allocator are counted by its memory; what its elements own is not.
TEST(measure, leaves_to_the_resource_what_is_its) {
  std::pmr::map<int, std::string> strings;
  strings.emplace(1, std::string(100, 'x'));
  EXPECT_EQ(owned_bytes(strings), block(strings.at(1).data()));
  EXPECT_EQ(owned_bytes(std::pmr::string(1000, 'x')), 0u);
}

}  // namespace
}  // namespace tenure::test
