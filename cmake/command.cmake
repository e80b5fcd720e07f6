# The command, and what it writes about itself: its manual page and its completions come from the tables in src/cli.
file(GLOB cli_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/*.c)
add_executable(batchcam_command ${cli_sources})
set_target_properties(batchcam_command PROPERTIES OUTPUT_NAME batchcam)
target_link_libraries(batchcam_command PRIVATE bcam_compile batchcam m)

# The installed command finds the library beside it, wherever the prefix is moved to.
file(RELATIVE_PATH libdir_from_bindir /${CMAKE_INSTALL_FULL_BINDIR} /${CMAKE_INSTALL_FULL_LIBDIR})
set_target_properties(batchcam_command PROPERTIES INSTALL_RPATH "$ORIGIN/${libdir_from_bindir}")

function(bcam_written_by_command file option)
    add_custom_command(
        OUTPUT ${CMAKE_BINARY_DIR}/${file}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/share
        COMMAND batchcam_command help ${option} > ${CMAKE_BINARY_DIR}/${file}
        DEPENDS batchcam_command
        VERBATIM)
endfunction()
bcam_written_by_command(share/batchcam.1 --man)
bcam_written_by_command(share/batchcam.bash --bash)
add_custom_target(bcam_papers ALL DEPENDS ${CMAKE_BINARY_DIR}/share/batchcam.1 ${CMAKE_BINARY_DIR}/share/batchcam.bash)
