tenure_fuzz(heap_operations_fuzz SOURCES ${CMAKE_CURRENT_LIST_DIR}/heap_operations_fuzz.cc
  ROOMS heap pages telemetry os base)
