// The budget's part of the C interface has one lock of its own.
#pragma once

namespace tenure::core {

// Around fork: nobody is in the middle of registering a shrinker then.
void lock_foreign_shrinkers() noexcept;
void unlock_foreign_shrinkers() noexcept;

}  // namespace tenure::core
