#include <tenure/connection_pool.hpp>

#include <algorithm>
#include <string>

#include "core/base/check.h"
#include "library/pool/connection_core.h"

namespace tenure {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("tenure::connection_pool: " + why); }

// HikariCP's least values.
void check_options(const connection_pool_options& of) {
  if (of.maximum_pool_size == 0) refuse("maximum_pool_size is at least 1");
  if (of.connection_timeout < milliseconds(250)) refuse("connection_timeout is at least 250 ms");
  if (of.validation_timeout < milliseconds(250)) refuse("validation_timeout is at least 250 ms");
  if (of.validate_after < nanoseconds()) refuse("validate_after is not negative");
  if (!(of.lifetime_jitter >= 0 && of.lifetime_jitter < 1)) refuse("lifetime_jitter is at least 0 and less than 1");
  const auto is_less = [](nanoseconds time, seconds least) { return time != nanoseconds() && time < least; };
  if (is_less(of.idle_timeout, seconds(10))) refuse("idle_timeout is at least 10 s, or 0 for none");
  if (is_less(of.max_lifetime, seconds(30))) refuse("max_lifetime is at least 30 s, or 0 for none");
  if (is_less(of.keepalive_time, seconds(30))) refuse("keepalive_time is at least 30 s, or 0 for none");
  if (is_less(of.leak_detection_threshold, seconds(2)))
    refuse("leak_detection_threshold is at least 2 s, or 0 for none");
  if (of.max_lifetime != nanoseconds() && of.keepalive_time >= of.max_lifetime) {
    refuse("keepalive_time is less than max_lifetime");
  }
}

}  // namespace

namespace detail {

connection_core::connection_core(const connection_pool_options& options, std::unique_ptr<connection_actions> actions)
    : name_(options.name),
      actions_(std::move(actions)),
      minimum_idle_(std::min(options.minimum_idle, options.maximum_pool_size)),
      connection_timeout_(options.connection_timeout),
      validation_timeout_(options.validation_timeout),
      validate_after_(options.validate_after),
      idle_timeout_(options.idle_timeout),
      max_lifetime_(options.max_lifetime),
      lifetime_jitter_(options.lifetime_jitter),
      keepalive_time_(actions_->can_validate() ? options.keepalive_time : nanoseconds()),
      leak_detection_threshold_(options.leak_detection_threshold),
      connection_bytes_(options.connection_bytes),
      own_bytes_(sizeof *this + options.maximum_pool_size * (sizeof(connection_slot) + 2 * sizeof(void*))),
      clock_(options.clock),
      has_threads_(options.threads != 0),
      most_validating_(options.threads > 1 ? options.threads - 1 : 1),
      account_(name_.c_str(), "connection pool", options.parent),
      use_(account_.is_counted() ? tenure_account_publish_use(account_.handle()) : &own_use_),
      slots_(options.maximum_pool_size),
      dice_(static_cast<std::minstd_rand::result_type>(std::hash<const void*>()(this) >> 4)) {
  for (auto* list : {&idle_, &to_close_}) list->reserve(options.maximum_pool_size);
  if (!account_.try_charge(own_bytes_, 0)) throw std::bad_alloc();
}

void connection_core::start(std::size_t workers) {
  if (workers == 0) return;
  try {
    threads_.reserve(workers + 1);
    threads_.emplace_back([this] { keep(); });
    for (std::size_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    shutdown({});
    stop();
    throw;
  }
}

connection_core::~connection_core() {
  TENURE_CHECK(open_ == 0 && waiters_ == 0);
  account_.release(own_bytes_, 0);
}

}  // namespace detail

connection_pool_base::connection_pool_base(const connection_pool_options& options,
                                           std::unique_ptr<detail::connection_actions> actions) {
  check_options(options);
  core_ = std::make_unique<detail::connection_core>(options, std::move(actions)).release();
  // Its threads run hooks, which may ask the pool.
  try {
    core_->start(options.threads);
  } catch (...) {
    delete core_;
    throw;
  }
}

connection_pool_base::~connection_pool_base() {
  // What comes back after the message finds its core still there.
  if (core_->shutdown({}) != 0 && core_->report_abandoned(resources::capture_site())) return;
  core_->stop();
  delete core_;
}

connection_pool_base::lent connection_pool_base::lend(duration timeout, bool throws) {
  const call_site site = resources::capture_site();
  detail::connection_slot* slot =
      core_->lend(timeout < duration() ? core_->connection_timeout() : timeout, throws, site);
  return slot == nullptr ? lent{} : lent{slot, slot->connection};
}

void connection_pool_base::take_back(detail::connection_core* core, detail::connection_slot* slot,
                                     bool is_good) noexcept {
  core->take_back(slot, is_good);
}

const char* connection_pool_base::name() const noexcept { return core_->name(); }
tenure_account* connection_pool_base::account() const noexcept { return core_->account(); }
connection_pool_statistics connection_pool_base::statistics() const { return core_->statistics(); }
std::vector<connection_borrower> connection_pool_base::who() const { return core_->who(); }
void connection_pool_base::suspend() { core_->suspend(); }
void connection_pool_base::resume() { core_->resume(); }
void connection_pool_base::soft_evict() { core_->soft_evict(); }
std::size_t connection_pool_base::shutdown(duration grace) { return core_->shutdown(grace); }
void connection_pool_base::maintain() { core_->maintain(); }
void connection_pool_base::check() const { core_->check(); }

std::size_t connection_pool_base::report_borrowers() const {
  const std::vector<connection_borrower> all = who();
  for (const connection_borrower& each : all) core_->tell_borrower(each);
  return all.size();
}

}  // namespace tenure
