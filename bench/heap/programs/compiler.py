"""g++ on one big generated file: templates, classes, containers and much inlining; cc1plus is what is measured."""
from . import Launch

NAME = "compiler"
WHAT = "g++ -O1 on a generated file of templates and classes"
NEEDS = ["g++"]

HEAD = """#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

template <int depth> struct tower { static constexpr int height = tower<depth - 1>::height + depth % 7; };
template <> struct tower<0> { static constexpr int height = 0; };
"""

UNIT = """
namespace unit_{n} {{
struct record {{
  std::string name;
  std::vector<int> values;
  std::map<int, std::string> notes;
  int rank = tower<{n} % 400>::height;
}};
class registry {{
 public:
  void add(std::shared_ptr<record> one) {{ records_.push_back(std::move(one)); }}
  int rank() const {{
    int sum = {n};
    for (const auto& each : records_) {{
      for (int value : each->values) sum += value * {a} + each->rank;
      for (const auto& [key, note] : each->notes) sum ^= key + static_cast<int>(note.size());
    }}
    return sum;
  }}
  void order() {{
    std::sort(records_.begin(), records_.end(), [](const auto& x, const auto& y) {{ return x->name < y->name; }});
  }}
 private:
  std::vector<std::shared_ptr<record>> records_;
}};
int work(int seed) {{
  registry all;
  for (int i = 0; i < seed % {b}; ++i) {{
    auto one = std::make_shared<record>();
    one->name = std::to_string(i * {a});
    one->values.assign(i, seed);
    one->notes[i] = one->name + "{n}";
    all.add(std::move(one));
  }}
  all.order();
  return all.rank();
}}
}}
"""


def prepare(folder, divisor):
    units = max(2, 9 // divisor)
    source = folder / "big.cc"
    calls = " + ".join(f"unit_{n}::work(seed + {n})" for n in range(units))
    source.write_text(HEAD + "".join(UNIT.format(n=n, a=n % 13 + 2, b=n % 17 + 3) for n in range(units))
                      + f"\nint all_units(int seed) {{ return {calls}; }}\n")
    output = folder / "big.s"
    return Launch(["g++", "-std=c++17", "-O1", "-S", "-o", str(output), str(source)], outputs=[output])
