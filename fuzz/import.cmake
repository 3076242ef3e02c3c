if(NOT TARGET tenure_import)
  return()
endif()
tenure_fuzz(import_fuzz STANDARD 23 SOURCES ${CMAKE_CURRENT_LIST_DIR}/import_fuzz.cc ROOMS import collect record
  SEEDS ${CMAKE_CURRENT_LIST_DIR}/make_import_seeds.py)
