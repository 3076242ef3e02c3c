if(NOT TARGET tenure_replay)
  return()
endif()
tenure_fuzz(replay_trace_fuzz STANDARD 23 SOURCES ${CMAKE_CURRENT_LIST_DIR}/replay_trace_fuzz.cc ROOMS replay
  SEEDS ${CMAKE_CURRENT_LIST_DIR}/make_trace_seeds.py)
