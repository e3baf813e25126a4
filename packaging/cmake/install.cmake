# What handler authors find in an install prefix: the library, its headers, a CMake package and a pkg-config file.
install(TARGETS preforkd RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
install(TARGETS preforkctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS preforkd_library preforkd_headers preforkd_test EXPORT preforkd ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/common/include/preforkd DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/preforkd)
install(EXPORT preforkd NAMESPACE preforkd:: FILE preforkdTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/preforkdConfig.cmake.in
  ${PROJECT_BINARY_DIR}/preforkdConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/preforkdConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/preforkdConfig.cmake ${PROJECT_BINARY_DIR}/preforkdConfigVersion.cmake
  DESTINATION ${package_dir})

# Where its prefix is, it finds out from its own place, so that `cmake --install --prefix` may move it.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pkgconfig_to_prefix /${pkgconfig_dir} /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/preforkd.pc.in ${PROJECT_BINARY_DIR}/preforkd.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/preforkd.pc DESTINATION ${pkgconfig_dir})

install(PROGRAMS ${PROJECT_SOURCE_DIR}/packaging/new/preforkd-new DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/packaging/new/project/ DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/preforkd/new)
