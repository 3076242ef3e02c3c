// What the reader is told so that it can make sense of a stack: files and thread names.
#include "core/telemetry/module_list.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <thread>

#include "core/telemetry/telemetry.h"
#include "session.h"

using namespace tenure;
using tenure::testing::seen_region;
using tenure::testing::session;

namespace {

void* block_of_plugin(std::size_t number) { return reinterpret_cast<void*>(0x10000000 + number * 48); }

void record_plain(void* at, std::size_t bytes) {
  telemetry::record_allocation(at, bytes, bytes + 8, 4096, wire::allocation_entry::operator_new);
}

struct plugin {
  explicit plugin(const std::string& path) : handle(dlopen(path.c_str(), RTLD_NOW)) {
    EXPECT_NE(handle, nullptr) << dlerror();
    call = reinterpret_cast<int (*)(void (*)(), int)>(dlsym(handle, "plugin_call"));
  }
  ~plugin() { dlclose(handle); }
  plugin(const plugin&) = delete;
  plugin& operator=(const plugin&) = delete;
  void* handle;
  int (*call)(void (*)(), int);
};

// Nobody says forget_rules() here: the samples notice by themselves that another file has taken the place.
TEST(module_list, are_told_before_the_stacks_that_need_them_and_again_when_replaced) {
  session run;
  ASSERT_EQ(run.run([] {
    telemetry::start();
    static std::size_t next;
    for (int i = 0; i < 6; ++i) {
      const std::string path = std::string(getenv("TENURE_SESSION")) + "/plugin" + std::to_string(i % 2) + ".so";
      std::filesystem::remove(path);
      std::filesystem::copy_file(i % 2 == 0 ? PLUGIN_SMALL : PLUGIN_LARGE, path);
      plugin loaded(path);
      loaded.call([] { record_plain(block_of_plugin(next++), 5); }, 10);
    }
    telemetry::finish();
  }),
            0);
  const seen_region region(run.file(run.last_child));
  EXPECT_TRUE(region.frames_without_module.empty());
  ASSERT_EQ(region.samples.size(), 6u);
  for (std::size_t i = 1; i < 6; ++i) {
    EXPECT_EQ(region.samples[i].head.truncated, 0u);
    EXPECT_EQ(region.samples[i].frames.size(), region.samples[0].frames.size()) << i;
  }
  std::size_t plugins = 0;
  bool program = false;
  for (const auto& module : region.modules) {
    plugins += module.path.find("/plugin") != std::string::npos ? 1 : 0;
    program |= module.path == std::filesystem::read_symlink("/proc/self/exe");
    EXPECT_LT(module.head.begin, module.head.end);
    EXPECT_EQ(module.path.empty(), false);
    if (module.path.find("libc.so") != std::string::npos) {
      EXPECT_EQ(module.head.build_id_bytes, 20u);
    }
  }
  EXPECT_GE(plugins, 2u);
  EXPECT_TRUE(program);
}

TEST(module_list, and_thread_names_are_told_by_name_with_their_first_sample_and_when_renamed) {
  session run;
  ASSERT_EQ(run.run([] {
    telemetry::start();
    std::thread worker([] {
      pthread_setname_np(pthread_self(), "worker");
      record_plain(block_of_plugin(1), 5);
      pthread_setname_np(pthread_self(), "cleaner");
      telemetry::record_free(block_of_plugin(1));
    });
    worker.join();
    telemetry::finish();
  }),
            0);
  const seen_region region(run.file(run.last_child));
  ASSERT_EQ(region.samples.size(), 1u);
  ASSERT_EQ(region.threads.count(region.samples[0].head.thread_id), 1u);
  EXPECT_EQ(region.threads.at(region.samples[0].head.thread_id), "cleaner");
}

}  // namespace
