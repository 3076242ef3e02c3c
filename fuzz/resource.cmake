if(NOT TARGET tenure_resource)
  return()
endif()
tenure_fuzz(resource_log_fuzz SOURCES ${CMAKE_CURRENT_LIST_DIR}/resource_log_fuzz.cc ROOMS resource
  SEEDS ${CMAKE_CURRENT_LIST_DIR}/make_resource_log_seeds.py)
tenure_fuzz(shared_segment_fuzz SOURCES ${CMAKE_CURRENT_LIST_DIR}/shared_segment_fuzz.cc ROOMS resource)
