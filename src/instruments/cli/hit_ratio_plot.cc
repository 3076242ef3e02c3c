#include "instruments/cli/hit_ratio_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tenure::cli {
namespace {

// Where sizes and ratios stand, as parts of the plot's width and height.
class axes {
 public:
  explicit axes(const simulation_answer& answer) : answer_(answer), order_(answer.sizes.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::sort(order_.begin(), order_.end(),
              [&](std::size_t a, std::size_t b) { return answer.sizes[a].capacity < answer.sizes[b].capacity; });
    first_ = std::log(capacity(0));
    last_ = std::log(capacity(order_.size() - 1));
    for (const replay::simulated& one : answer.results) highest_ = std::max(highest_, answer.hit_ratio(one));
    // To the next tenth, so that there are whole figures at the side.
    tenths_ = std::clamp(static_cast<int>(std::ceil(highest_ * 10 - 1e-9)), 1, 10);
    highest_ = tenths_ / 10.0;
  }

  std::size_t points() const { return order_.size(); }
  const cache_size& size(std::size_t point) const { return answer_.sizes[order_[point]]; }
  double x(std::size_t point) const {
    return last_ <= first_ ? 0.5 : (std::log(capacity(point)) - first_) / (last_ - first_);
  }
  double y(std::size_t policy, std::size_t point) const {
    return answer_.hit_ratio(answer_.result(policy, order_[point])) / highest_;
  }
  // Between two points on the straight line.
  double y_at(std::size_t policy, double at) const {
    std::size_t point = 0;
    while (point + 1 < points() && x(point + 1) < at) ++point;
    if (point + 1 >= points() || x(point + 1) <= x(point)) return y(policy, point);
    const double part = std::clamp((at - x(point)) / (x(point + 1) - x(point)), 0.0, 1.0);
    return y(policy, point) + part * (y(policy, point + 1) - y(policy, point));
  }
  double highest() const { return highest_; }
  // Into how many steps the height is divided, each of whole percents.
  int steps() const { return tenths_ == 1 ? 5 : tenths_ == 2 ? 4 : tenths_; }

 private:
  double capacity(std::size_t point) const { return static_cast<double>(answer_.sizes[order_[point]].capacity); }

  const simulation_answer& answer_;
  std::vector<std::size_t> order_;
  double first_ = 0, last_ = 0, highest_ = 0;
  int tenths_ = 1;
};

char letter_of(std::size_t policy) { return static_cast<char>('a' + policy); }

std::string svg_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (static_cast<unsigned char>(c) >= 32)
      out += c;
  }
  return out;
}

// Apart from one another in hue, and in how they are dashed.
std::string stroke_of(std::size_t policy, std::size_t count) {
  const auto hue = static_cast<int>(360 * policy / count);
  return fmt::format("stroke=\"hsl({},70%,{}%)\"{}", hue, policy % 2 == 0 ? 40 : 55,
                     policy % 3 == 1   ? " stroke-dasharray=\"6 3\""
                     : policy % 3 == 2 ? " stroke-dasharray=\"2 2\""
                                       : "");
}

std::string legend_of(const simulation_answer& answer, int line_columns) {
  std::string text, line;
  for (std::size_t policy = 0; policy < answer.policies.size(); ++policy) {
    const std::string one = fmt::format("{} {}", letter_of(policy), answer.policies[policy]);
    if (!line.empty() && line.size() + 2 + one.size() > static_cast<std::size_t>(line_columns)) {
      text += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : "  ") + one;
  }
  return text + line + "\n";
}

}  // namespace

std::string plot_as_text(const simulation_answer& answer, int line_columns) {
  constexpr std::size_t side = 5;
  const std::size_t columns = static_cast<std::size_t>(std::clamp(line_columns, 40, 100)) - side - 2;
  const axes at(answer);
  const auto steps = static_cast<std::size_t>(at.steps());
  const std::size_t rows_each = steps <= 5 ? 3 : 2;
  const std::size_t rows = steps * rows_each;
  std::vector<std::string> grid(rows + 1, std::string(columns, ' '));
  for (std::size_t policy = answer.policies.size(); policy-- > 0;) {
    for (std::size_t column = 0; column < columns; ++column) {
      const double height = at.y_at(policy, static_cast<double>(column) / static_cast<double>(columns - 1));
      grid[rows - static_cast<std::size_t>(std::lround(height * static_cast<double>(rows)))][column] =
          letter_of(policy);
    }
  }
  std::string text = "\nHits, % of the requests, by size\n";
  for (std::size_t row = 0; row <= rows; ++row) {
    const double share = at.highest() * static_cast<double>(rows - row) / static_cast<double>(rows);
    std::string line = row % rows_each == 0 ? fmt::format("{:>4.0f} |", 100 * share) : std::string(side, ' ') + "|";
    line += grid[row];
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  const std::string left = size_text(at.size(0).capacity, answer.is_in_bytes);
  const std::string right = size_text(at.size(at.points() - 1).capacity, answer.is_in_bytes);
  text += std::string(side, ' ') + "+" + std::string(columns, '-') + "\n";
  const std::size_t between = columns > left.size() + right.size() ? columns - left.size() - right.size() : 1;
  text += std::string(side + 1, ' ') + left + (at.points() > 1 ? std::string(between, ' ') + right : "") + "\n";
  return text + legend_of(answer, line_columns);
}

std::string plot_as_svg(const simulation_answer& answer) {
  constexpr double left = 60, top = 50, width = 620, height = 380;
  const axes at(answer);
  const auto x = [&](double part) { return left + part * width; };
  const auto y = [&](double part) { return top + (1 - part) * height; };
  std::string text =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"840\" height=\"500\" viewBox=\"0 0 840 500\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"840\" height=\"500\" fill=\"white\"/>\n";
  text += fmt::format("<text x=\"{}\" y=\"25\" font-size=\"15\">Hits by size of the cache: {}</text>\n", left,
                      svg_text(answer.name));
  for (int tick = 0; tick <= at.steps(); ++tick) {
    const double part = static_cast<double>(tick) / at.steps();
    text += fmt::format(
        "<path d=\"M{:.1f} {:.1f}h{:.1f}\" stroke=\"#ddd\"/><text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{:.0f} "
        "%</text>\n",
        left, y(part), width, left - 6, y(part) + 4, 100 * part * at.highest());
  }
  for (std::size_t point = 0; point < at.points(); ++point) {
    text += fmt::format(
        "<path d=\"M{:.1f} {:.1f}v5\" stroke=\"black\"/><text x=\"{:.1f}\" y=\"{:.1f}\" "
        "text-anchor=\"middle\">{}</text>\n",
        x(at.x(point)), top + height, x(at.x(point)), top + height + 20 + 14 * static_cast<double>(point % 2),
        size_text(at.size(point).capacity, answer.is_in_bytes));
  }
  text += fmt::format("<path d=\"M{0} {1}v{2}h{3}\" fill=\"none\" stroke=\"black\"/>\n", left, top, height, width);
  for (std::size_t policy = 0; policy < answer.policies.size(); ++policy) {
    const std::string stroke = stroke_of(policy, answer.policies.size());
    std::string path;
    for (std::size_t point = 0; point < at.points(); ++point)
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(at.x(point)), y(at.y(policy, point)));
    const double row = top + 14 + 22 * static_cast<double>(policy);
    text += fmt::format("<path d=\"{}\" fill=\"none\" stroke-width=\"2\" {}/>\n", path, stroke);
    text +=
        fmt::format("<path d=\"M{0} {1:.1f}h24\" stroke-width=\"2\" {2}/><text x=\"{3}\" y=\"{4:.1f}\">{5}</text>\n",
                    left + width + 15, row, stroke, left + width + 46, row + 4, answer.policies[policy]);
  }
  return text + "</svg>\n";
}

}  // namespace tenure::cli
