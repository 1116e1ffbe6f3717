# Headers, library, command, pkg-config file and CMake package.
include(CMakePackageConfigHelpers)
install(TARGETS quernel EXPORT quernelTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY engine/include/quernel DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT quernelTargets NAMESPACE quernel:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/quernel)
file(WRITE ${PROJECT_BINARY_DIR}/quernelConfig.cmake
     "include(\"\${CMAKE_CURRENT_LIST_DIR}/quernelTargets.cmake\")\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/quernelConfigVersion.cmake
                                 COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/quernelConfig.cmake
        ${PROJECT_BINARY_DIR}/quernelConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/quernel)
file(WRITE ${PROJECT_BINARY_DIR}/quernel.pc "prefix=${CMAKE_INSTALL_PREFIX}
libdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}
includedir=\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}

Name: quernel
Description: ${PROJECT_DESCRIPTION}
Version: ${PROJECT_VERSION}
Libs: -L\${libdir} -lquernel
Cflags: -I\${includedir}
")
install(FILES ${PROJECT_BINARY_DIR}/quernel.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
