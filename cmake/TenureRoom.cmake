# A room is a CMake target of its own which sees only the include folders of the rooms it names, so that a wrong include
# does not compile. layers.toml holds the same table and tools/check_layers.py holds the sources against it.

# Headers are seen through a folder of links: <build>/rooms/<target>/<wing>/<room> leads to src/<wing>/<room>. A room
# has on its include path its own such folder and those of the rooms that it names, and no others.
function(tenure_room wing room)
  cmake_parse_arguments(ROOM "" "STANDARD" "SOURCES;ROOMS;LIBRARIES;OPTIONS" ${ARGN})
  set(target tenure_${room})
  if(ROOM_SOURCES)
    add_library(${target} STATIC ${ROOM_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  set(view ${Tenure_BINARY_DIR}/rooms/${target}/${wing})
  file(MAKE_DIRECTORY ${view})
  file(CREATE_LINK ${Tenure_SOURCE_DIR}/src/${wing}/${room} ${view}/${room} SYMBOLIC)
  # Included as "wing/room/file.h"; wire/, which stands between the wings, as "wire/file.h".
  target_include_directories(${target} ${scope} ${Tenure_BINARY_DIR}/rooms/${target})
  foreach(other IN LISTS ROOM_ROOMS)
    target_link_libraries(${target} ${scope} tenure_${other})
  endforeach()
  if(ROOM_SOURCES)
    target_link_libraries(${target} PUBLIC ${ROOM_LIBRARIES})
    target_compile_options(${target} PRIVATE ${ROOM_OPTIONS} ${TENURE_WARNINGS_LIST})
    target_compile_features(${target} PUBLIC cxx_std_${ROOM_STANDARD})
  endif()
endfunction()

separate_arguments(TENURE_WARNINGS_LIST UNIX_COMMAND "${TENURE_WARNINGS}")

# What may run inside malloc: no exceptions, no RTTI, no thread-safe statics, links libc only.
set(TENURE_CORE_OPTIONS
  -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden -fno-stack-protector
  -fno-omit-frame-pointer -momit-leaf-frame-pointer -fno-plt -fcf-protection=none -fno-builtin-malloc)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(REMOVE_ITEM TENURE_CORE_OPTIONS -fcf-protection=none)
endif()

function(tenure_core_room room)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS;OPTIONS" ${ARGN})
  tenure_room(core ${room} STANDARD 20 SOURCES ${ROOM_SOURCES} ROOMS ${ROOM_ROOMS}
    OPTIONS ${TENURE_CORE_OPTIONS} ${ROOM_OPTIONS})
endfunction()

function(tenure_instrument_room room)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  tenure_room(instruments ${room} STANDARD 23 SOURCES ${ROOM_SOURCES} ROOMS ${ROOM_ROOMS}
    LIBRARIES ${ROOM_LIBRARIES})
endfunction()

# What C++ programs include: the standard library, exceptions and RTTI. Of its symbols the loader sees those that
# include/tenure marks with TENURE_API. A room reaches the core's state through the C ABI only, which it links as an
# archive here and as part of libtenure.so there.
set(TENURE_LIBRARY_OPTIONS -fvisibility=hidden -fvisibility-inlines-hidden)

function(tenure_library_room room)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS" ${ARGN})
  tenure_room(library ${room} STANDARD 20 SOURCES ${ROOM_SOURCES} ROOMS ${ROOM_ROOMS}
    LIBRARIES tenure_library_base OPTIONS ${TENURE_LIBRARY_OPTIONS})
  if(ROOM_SOURCES)
    target_link_libraries(tenure_${room} INTERFACE tenure_interface)
  else()
    target_link_libraries(tenure_${room} INTERFACE tenure_library_base tenure_interface)
  endif()
  set_property(GLOBAL APPEND PROPERTY TENURE_LIBRARY_ROOMS tenure_${room})
endfunction()

# A shared library of the core without its override and of the rooms given, all of them whole:
# tenure_shared_library(target ROOMS targets...). No flag here may bind tenure_* within the library: they are called
# through the loader, so that the core which comes first in the process serves them.
function(tenure_shared_library target)
  cmake_parse_arguments(LIBRARY "" "" "ROOMS" ${ARGN})
  add_library(${target} SHARED $<TARGET_OBJECTS:tenure_interface>)
  foreach(room IN LISTS LIBRARY_ROOMS)
    get_target_property(kind ${room} TYPE)
    if(kind STREQUAL STATIC_LIBRARY)
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:${room}>)
    endif()
  endforeach()
  find_package(Threads REQUIRED)
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX
    LINK_DEPENDS ${Tenure_SOURCE_DIR}/src/library/exports.map)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${Tenure_SOURCE_DIR}/include>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PRIVATE
    tenure_scan tenure_heap tenure_pages tenure_telemetry tenure_budget tenure_os tenure_base Threads::Threads)
  # Never unloaded: threads have its memory in their caches.
  target_link_options(${target} PRIVATE -Wl,-z,nodelete -Wl,-z,now
    -Wl,--version-script=${Tenure_SOURCE_DIR}/src/library/exports.map)
  if(NOT TENURE_SANITIZER)
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
endfunction()

# A program that is a unit test as it is. All of them are what the target `unit_tests` builds.
function(tenure_add_unit_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "LABELS" ${ARGN})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT} LABELS "unit;${TEST_LABELS}")
  add_dependencies(unit_tests ${name})
endfunction()

# A GoogleTest program for rooms: tenure_unit_test(name SOURCES ... ROOMS ... LIBRARIES ... [AS_RELEASED]). The rooms
# are built as users get them; the test itself is built with less, which takes half the time, but where it races
# (stress) or reads its own debug information (AS_RELEASED).
function(tenure_unit_test name)
  cmake_parse_arguments(UNIT "AS_RELEASED" "STANDARD;TIMEOUT" "SOURCES;ROOMS;LIBRARIES;LABELS" ${ARGN})
  if(NOT UNIT_STANDARD)
    set(UNIT_STANDARD 20)
  endif()
  if(NOT UNIT_TIMEOUT)
    set(UNIT_TIMEOUT 300)
  endif()
  add_executable(${name} ${UNIT_SOURCES})
  foreach(room IN LISTS UNIT_ROOMS)
    target_link_libraries(${name} PRIVATE tenure_${room})
  endforeach()
  target_link_libraries(${name} PRIVATE ${UNIT_LIBRARIES} GTest::gtest GTest::gtest_main)
  target_compile_features(${name} PRIVATE cxx_std_${UNIT_STANDARD})
  target_compile_options(${name} PRIVATE ${TENURE_WARNINGS_LIST})
  if(NOT UNIT_AS_RELEASED AND NOT "stress" IN_LIST UNIT_LABELS)
    target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1;-g1>)
  endif()
  tenure_add_unit_test(${name} TIMEOUT ${UNIT_TIMEOUT} LABELS ${UNIT_LABELS})
endfunction()
