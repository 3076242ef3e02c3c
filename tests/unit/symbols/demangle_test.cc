// Oracles: c++filt of binutils, which decodes C++ and both schemes of Rust, and the examples of Rust's RFC 2603.
#include "instruments/symbols/demangle.h"

#include <gtest/gtest.h>

#include <regex>

#include "../../support/shell.h"

namespace tenure::symbols {
namespace {

// Emitted by rustc for a small program and its standard library, or made by the grammar.
const std::vector<std::string> v0_names = {
    "_RNvMs1_NtNtCsjrHSEGnQ3l9_3std6thread9lifecycleINtB5_9JoinInnerNtNtCslNYArtu3iFV_"
    "5alloc6string6StringE4joinCs6xxl1lAjzDf_1a",
    "_RNCNvNtNtNtCsjrHSEGnQ3l9_3std3sys11personality3gcc14find_eh_actions_0B9_",
    "_RINvXs_NvMNtCslNYArtu3iFV_5alloc5sliceSp9to_vec_inhNtB5_10ConvertVec6to_vecNtNtBa_5alloc6GlobalECsjrHSEGnQ3l9_"
    "3std",
    "_RNvXso_NtCslNYArtu3iFV_5alloc3vecINtB5_3VechENtNtNtCsgEmfK2I1SDS_4core3ops4drop4Drop4dropCsduwmD7cSIQq_5gimli",
    "_RNCINvMs0_NtNtCsjrHSEGnQ3l9_3std4sync4onceNtB8_4Once9call_onceNCNvNtBc_2rt7cleanup0E0Bc_",
    "_RNvYNtNtNtNtCsjrHSEGnQ3l9_3std3sys5stdio4unix6StderrNtNtBa_2io5Write9write_allBa_",
    "_RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeINtNtB4_6result6ResultuINtNtCslNYArtu3iFV_5alloc5boxed3BoxDNtNtB4_"
    "3any3AnyNtNtB4_6marker4SendEL_EEECs6xxl1lAjzDf_1a.llvm.1436011965379119198",
    "_RNvXs0_NtCsgEmfK2I1SDS_4core3anyDNtB5_3AnyNtNtB7_6marker4SendEL_NtNtB7_3fmt5Debug3fmt",
    "_RNvXs1g_NtCsgEmfK2I1SDS_4core3fmtRDNtB6_5DebugEL_Bx_3fmtB8_",
    "_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_ECs1iopQbuBiw2_3std",
    "_RNvMNtNtNtNtCs8a2262Dv4r_3mio3sys4unix8selector5epollNtB2_8Selector6select",
    "_RINvC1a1bFUKCmEjE",
    "_RINvC1a1bFG_RL0_hEuE",
    "_RINvC1a1bTRhQeOxPySlEE",
};

const std::vector<std::string> legacy_names = {
    "_ZN4core3ptr60drop_in_place$LT$std..thread..spawnhook..ChildSpawnHooks$GT$17h9189edeb8c165a1eE",
    "_ZN70_$LT$alloc..vec..Vec$LT$T$C$A$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17h7e2601e63b52c24cE",
    "_ZN9hashbrown3raw21RawTable$LT$T$C$A$GT$14reserve_rehash17h6a1bd74ab5307f78E",
    "_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h45996a95de06644aE",
    "_ZN4core3ptr181drop_in_place$LT$hashbrown..scopeguard..ScopeGuard$LT$$RF$mut$u20$hashbrown..raw..RawTableInner$C$"
    "hashbrown..raw..RawTableInner..rehash_in_place..$u7b$$u7b$closure$u7d$$u7d$$GT$$GT$17hf6f58000c165705fE",
};

std::string filtered(const std::string& name) {
  return testing::lines_of(testing::output_of("c++filt '" + name + "'")).at(0);
}

TEST(Demangle, AgreesWithCxxfiltOnRustV0) {
  // c++filt prints crate hashes, which are no part of the name.
  const std::regex hash(R"(\[[0-9a-f]+\](?=::))");
  for (const std::string& name : v0_names) {
    EXPECT_EQ(demangle(name), std::regex_replace(filtered(name), hash, "")) << name;
  }
}

TEST(Demangle, AgreesWithCxxfiltOnRustLegacy) {
  const std::regex hash("::h[0-9a-f]{16}$");
  for (const std::string& name : legacy_names) {
    EXPECT_EQ(demangle(name), std::regex_replace(filtered(name), hash, "")) << name;
  }
}

TEST(Demangle, FollowsTheExamplesOfTheRfc) {
  EXPECT_EQ(demangle("_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y"),
            "utf8_idents::საჭმელად_გემრიელი_სადილი");
  EXPECT_EQ(demangle("_RINtC8arrayvec8ArrayVechKj7b_E"), "arrayvec::ArrayVec::<u8, 123>");
  EXPECT_EQ(demangle("_RMCs4fqI2P2rA04_13const_genericINtB0_6SignedKanb_E"), "<const_generic::Signed<-11>>");
  EXPECT_EQ(demangle("_RMCs4fqI2P2rA04_13const_genericINtB0_4BoolKb1_E"), "<const_generic::Bool<true>>");
  EXPECT_EQ(demangle("_RMCs4fqI2P2rA04_13const_genericINtB0_4CharKc2202_E"), "<const_generic::Char<'∂'>>");
}

TEST(Demangle, AgreesWithCxxfiltOnCxx) {
  for (const std::string name :
       {"_ZN4shop5shelf3putIdEEvT_",
        "_ZNSt6vectorIiSaIiEE17_M_realloc_insertIJiEEEvN9__gnu_cxx17__normal_iteratorIPiS1_EEDpOT_",
        "_ZN4shop12_GLOBAL__N_14keptEi", "_ZZ4mainENKUlvE_clEv", "_ZN3foo3barEv.constprop.0"}) {
    EXPECT_EQ(demangle(name), filtered(name));
  }
}

TEST(Demangle, LeavesOtherNamesAlone) {
  for (const std::string name : {"malloc", "_start", "_Zebra", "_R", "_RNv", "_ZN3foo17hzz", ""}) {
    EXPECT_EQ(demangle(name), name);
  }
}

TEST(Demangle, EndsOnDamagedNames) {
  for (const std::vector<std::string>& names : {v0_names, legacy_names}) {
    for (const std::string& name : names) {
      for (std::size_t length = 0; length < name.size(); ++length) {
        demangle(name.substr(0, length));
        std::string changed = name;
        for (const char c : {'B', '9', 'E', 'I', '_', '\xff'}) {
          changed[length] = c;
          EXPECT_LT(demangle(changed).size(), std::size_t{1} << 17);
        }
      }
    }
  }
  // Each level says its argument twice: without a limit this would print 2^60 letters.
  std::string doubling = "_RINvC1a1bTh";
  for (int i = 0; i < 60; ++i) doubling += "TB9_B9_E";
  EXPECT_LT(demangle(doubling + "EE").size(), std::size_t{1} << 17);
}

}  // namespace
}  // namespace tenure::symbols
