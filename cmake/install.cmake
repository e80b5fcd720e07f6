include(CMakePackageConfigHelpers)

install(TARGETS batchcam EXPORT batchcamTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS batchcam_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES include/batchcam.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/share/batchcam.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/share/batchcam.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME batchcam)

# pkg-config: paths are given from the .pc file's own folder, so an installation can be moved.
file(RELATIVE_PATH prefix_from_pcdir /${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig /${CMAKE_INSTALL_PREFIX})
configure_file(cmake/batchcam.pc.in ${CMAKE_BINARY_DIR}/share/batchcam.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/share/batchcam.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# CMake: find_package(batchcam) gives batchcam::batchcam.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/batchcam)
install(EXPORT batchcamTargets NAMESPACE batchcam:: DESTINATION ${package_dir})
configure_package_config_file(cmake/batchcamConfig.cmake.in ${CMAKE_BINARY_DIR}/share/batchcamConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/share/batchcamConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/share/batchcamConfig.cmake ${CMAKE_BINARY_DIR}/share/batchcamConfigVersion.cmake DESTINATION ${package_dir})
