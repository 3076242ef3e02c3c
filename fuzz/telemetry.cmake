foreach(subject unwind ring)
  tenure_fuzz(telemetry_${subject}_fuzz SOURCES ${CMAKE_CURRENT_LIST_DIR}/telemetry_${subject}_fuzz.cc ROOMS telemetry)
endforeach()
# The image that the target and the unit test of the parser share.
foreach(target telemetry_unwind_fuzz telemetry_unwind_fuzz_replay)
  if(TARGET ${target})
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  endif()
endforeach()
