# What others link against: an installed Tenure (find_package, pkg-config) or one that is part of their build.
#
#   tenure::tenure    libtenure.so: the C++ library and the C ABI on heaps of their own; malloc stays whose it is
#   tenure::compressed  libtenure-compressed.so, where it was built: the resource that needs liblz4
#   tenure::preload   libtenure-malloc.so: for LD_PRELOAD, or linked first
#   tenure::malloc    one relocatable object with the whole heap. Linked into a program it replaces malloc and operator
#                     new for all of it: an object cannot be left out as a member of an archive is, wherever it stands
#                     among the arguments of the linker.
include(CMakePackageConfigHelpers)

add_library(tenure::tenure ALIAS tenure_tenure)
set_target_properties(tenure_tenure PROPERTIES EXPORT_NAME tenure)

if(NOT TARGET tenure_preload)
  return()
endif()

add_library(tenure::preload ALIAS tenure_preload)
set_target_properties(tenure_preload PROPERTIES EXPORT_NAME preload)

# The heap's rooms and its C ABI in one object, in which everything but the C ABI is local.
set(malloc_object ${Tenure_BINARY_DIR}/lib/tenure-malloc.o)
set(room_archives)
set(room_targets)
foreach(room base os budget telemetry pages heap scan interface)
  get_target_property(kind tenure_${room} TYPE)
  if(kind STREQUAL STATIC_LIBRARY)
    list(APPEND room_archives $<TARGET_FILE:tenure_${room}>)
    list(APPEND room_targets tenure_${room})
  endif()
endforeach()
add_custom_command(OUTPUT ${malloc_object}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${Tenure_BINARY_DIR}/lib
  COMMAND ${CMAKE_LINKER} -r -o ${malloc_object} $<TARGET_OBJECTS:tenure_preload> --whole-archive ${room_archives}
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${malloc_object}
  DEPENDS $<TARGET_OBJECTS:tenure_preload> ${room_targets} COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(tenure_malloc_object ALL DEPENDS ${malloc_object})

find_package(Threads REQUIRED)
add_library(tenure_malloc INTERFACE)
add_library(tenure::malloc ALIAS tenure_malloc)
set_target_properties(tenure_malloc PROPERTIES EXPORT_NAME malloc)
add_dependencies(tenure_malloc tenure_malloc_object)
target_include_directories(tenure_malloc INTERFACE $<BUILD_INTERFACE:${Tenure_SOURCE_DIR}/include>)
target_link_libraries(tenure_malloc INTERFACE
  $<BUILD_INTERFACE:${malloc_object}> $<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${CMAKE_INSTALL_LIBDIR}/tenure-malloc.o>
  Threads::Threads ${CMAKE_DL_LIBS})

if(NOT TENURE_INSTALL)
  return()
endif()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Tenure)
install(TARGETS tenure_tenure tenure_preload tenure_malloc EXPORT TenureTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET tenure_compressed_library)
  install(TARGETS tenure_compressed_library EXPORT TenureTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(FILES ${malloc_object} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/tenure DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT TenureTargets NAMESPACE tenure:: DESTINATION ${package_folder})

configure_package_config_file(cmake/TenureConfig.cmake.in ${Tenure_BINARY_DIR}/TenureConfig.cmake
  INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${Tenure_BINARY_DIR}/TenureConfigVersion.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${Tenure_BINARY_DIR}/TenureConfig.cmake ${Tenure_BINARY_DIR}/TenureConfigVersion.cmake
  DESTINATION ${package_folder})

# Relative, so that an installed tree can be moved.
file(RELATIVE_PATH includes_from_pkgconfig ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
set(packages tenure tenure-malloc)
if(TARGET tenure_compressed_library)
  list(APPEND packages tenure-compressed)
endif()
foreach(package IN LISTS packages)
  configure_file(cmake/${package}.pc.in ${Tenure_BINARY_DIR}/${package}.pc @ONLY)
  install(FILES ${Tenure_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
