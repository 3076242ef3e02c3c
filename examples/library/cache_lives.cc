// How long what a cache keeps is good for: expiry, what is not there, refresh, and who is told when something goes.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <tenure/cache.hpp>

using namespace std::chrono_literals;

// The time of day of this example.
std::chrono::nanoseconds today{};

int main() {
  int questions = 0;
  const auto ask = [&](const std::string& host) -> std::optional<std::string> {
    ++questions;
    if (host == "nowhere.example") return std::nullopt;
    return "10.0.0." + std::to_string(questions);
  };

  tenure::cache<std::string, std::string> hosts(
      tenure::limit_bytes{1 << 20},
      {.name = "hosts",
       .expire_after_write = 300s,
       .expire_absent = 10s,   // that there is none is believed for a shorter time
       .refresh_after = 200s,  // what is older is asked for anew, while there is still an answer
       .clock = [] { return today; }});
  int expired = 0;
  hosts.on_removal([&](const std::string&, const std::string*, tenure::removal_cause why) {
    if (why == tenure::removal_cause::expired) ++expired;
  });
  bool is_right = *hosts.get_or_load("a.example", ask) == "10.0.0.1";
  is_right &= !hosts.get_or_load("nowhere.example", ask);
  is_right &= hosts.get_or_load("nowhere.example", ask).is_absent() && questions == 2;  // it is known
  today += 11s;
  hosts.get_or_load("nowhere.example", ask);
  is_right &= questions == 3 && expired == 1;
  today += 200s;
  is_right &= *hosts.get_or_load("a.example", ask) == "10.0.0.4" && hosts.statistics().refreshes == 1;
  today += 301s;
  is_right &= !hosts.get("a.example");
  std::printf("%d questions were asked, %d answers have expired\n", questions, expired);

  // Values that are somebody else's: they are found for as long as somebody has them.
  tenure::cache<int, std::weak_ptr<std::string>> documents(tenure::limit_entries{100}, {.name = "documents"});
  auto open = std::make_shared<std::string>("a document");
  documents.put(1, open);
  is_right &= documents.get(1)->lock() == open;
  open.reset();
  is_right &= !documents.get(1) && documents.statistics().collections == 1;

  // When memory is wanted elsewhere, soft values go and firm ones stay.
  tenure::cache<int, std::string> pictures(tenure::limit_bytes{1 << 20}, {.name = "pictures"});
  pictures.put(1, std::string(10'000, 'p'), tenure::value_strength::firm);
  for (int i = 2; i <= 20; ++i) pictures.put(i, std::string(10'000, 'p'));
  tenure_relieve_pressure(1 << 20);
  std::printf("under pressure %llu pictures are left, and the firm one is %s\n",
              static_cast<unsigned long long>(pictures.size()), pictures.contains(1) ? "there" : "gone");
  is_right &= pictures.contains(1) && pictures.size() == 1;
  return is_right ? 0 : 1;
}
