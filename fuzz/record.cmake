if(NOT TARGET tenure_collect)
  return()
endif()
tenure_fuzz(recording_fuzz STANDARD 23 SOURCES ${CMAKE_CURRENT_LIST_DIR}/recording_fuzz.cc ROOMS collect
  SEEDS ${CMAKE_CURRENT_LIST_DIR}/make_recording_seeds.py)
