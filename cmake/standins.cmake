# Test-only stand-ins for CUDA's libraries (tests/emu/fake.h), in a folder of their own: put before the real ones by LD_LIBRARY_PATH, they let the
# plug-in run as it is shipped on a machine without a GPU. Included from tests/ where the plug-in and the kernels for the CPU are built.
#   test_fake_*      the stand-ins themselves
#   test_plugin_*    the plug-in on them, through the public API and the command
set(emu ${CMAKE_SOURCE_DIR}/tests/emu)
set(standins ${CMAKE_BINARY_DIR}/standins)

# Libraries go by the names of this toolkit (cuda_major).
get_filename_component(real_cudnn ${BCAM_CUDNN_LIBRARY} DIRECTORY)
set(real_cudnn ${real_cudnn}/libcudnn.so.9)
get_filename_component(real_nvrtc ${BCAM_CUDART_LIBRARY} DIRECTORY)
set(real_nvrtc ${real_nvrtc}/libnvrtc.so.${cuda_major})

# bcam_standin(NAME FILE "exported patterns" SOURCES … LIBS …)
function(bcam_standin name file exports)
    cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
    add_library(${name} SHARED ${ARG_SOURCES})
    file(WRITE ${standins}/${file}.map "${file} {\n    global: ${exports};\n    local: *;\n};\n")
    target_link_libraries(${name} PRIVATE bcam_compile ${ARG_LIBS})
    target_compile_options(${name} PRIVATE -fvisibility=default $<$<COMPILE_LANGUAGE:C>:-O3>)
    target_compile_definitions(${name} PRIVATE BCAM_REAL_CUDNN="${real_cudnn}" BCAM_NVRTC="${real_nvrtc}")
    target_include_directories(${name} PRIVATE ${emu})
    target_include_directories(${name} SYSTEM PRIVATE ${BCAM_CUDART_INCLUDE} ${BCAM_CUBLAS_INCLUDE} ${BCAM_CUDNN_INCLUDE})
    target_link_options(${name} PRIVATE -Wl,-soname,${file} -Wl,--version-script=${standins}/${file}.map)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${standins} OUTPUT_NAME ${file} PREFIX "" SUFFIX "" NO_SONAME ON BUILD_RPATH "$ORIGIN")
endfunction()

file(GLOB cudart_sources CONFIGURE_DEPENDS ${emu}/fake_cudart*.c)
file(GLOB cudnn_sources CONFIGURE_DEPENDS ${emu}/fake_cudnn*.c)
bcam_standin(fake_cudart libcudart.so.${cuda_major} "cuda*; __cuda*; bcam_fake_*" SOURCES ${cudart_sources} LIBS PkgConfig::CJSON dl pthread)
bcam_standin(fake_cudnn libcudnn.so.9 "cudnn*" SOURCES ${cudnn_sources} LIBS fake_cudart PkgConfig::CJSON dl pthread m)
bcam_standin(fake_cublas libcublas.so.${cuda_major} "cublas*" SOURCES ${emu}/fake_cublas.c LIBS fake_cudart)
bcam_standin(fake_cuda libcuda.so.1 "cu*" SOURCES ${emu}/fake_cuda.c)
bcam_standin(fake_bodies libbcam_bodies.so "nothing" SOURCES ${emu}/bodies.c $<TARGET_OBJECTS:bcam_emu> LIBS fake_cudart bcam_dev bcam_base)
set_target_properties(fake_bodies PROPERTIES LINKER_LANGUAGE CXX)
configure_file(${emu}/h100.json ${standins}/h100.json COPYONLY)

# Every test of this kind finds the stand-ins first, and the plug-in as it was built. What engines are chosen is not remembered between tests.
# bcam_standin_test(NAME COMMAND …)
function(bcam_standin_test name)
    bcam_test(${name} ${ARGN})
    set_property(TEST ${prefix}${name} APPEND PROPERTY ENVIRONMENT "LD_LIBRARY_PATH=${standins}" "BATCHCAM_PLUGIN=$<TARGET_FILE:batchcam_cuda>"
                 "XDG_CACHE_HOME=${CMAKE_BINARY_DIR}/cache/${name}"
                 "LSAN_OPTIONS=suppressions=${emu}/leaks.supp:print_suppressions=0")
endfunction()

# The test of the device's interface that needs a card (tests/cuda), as it was built for one.
bcam_standin_test(test_cuda_pairs_on_standins COMMAND ${CMAKE_SOURCE_DIR}/tests/criterion.sh $<TARGET_FILE:test_cuda_pairs>)

file(GLOB standin_tests CONFIGURE_DEPENDS ${emu}/test_fake_*.c ${emu}/test_plugin_*.c)
foreach(source ${standin_tests})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    # As if it were linked against CUDA; --no-as-needed: what a test calls through the plug-in only has to be there too.
    target_link_libraries(${name} PRIVATE fake_cudart fake_cudnn fake_cublas)
    if(name MATCHES "^test_plugin_")
        target_link_libraries(${name} PRIVATE bcam_run)
        add_dependencies(${name} batchcam_cuda fake_bodies fake_cuda batchcam_command)
    else()
        target_link_libraries(${name} PRIVATE bcam_compile)
        add_dependencies(${name} fake_cuda)
    endif()
    target_link_libraries(${name} PRIVATE bcam_test_flags)
    target_include_directories(${name} PRIVATE ${emu} ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/include)
    target_include_directories(${name} SYSTEM PRIVATE ${BCAM_CUDART_INCLUDE} ${BCAM_CUBLAS_INCLUDE} ${BCAM_CUDNN_INCLUDE})
    target_compile_definitions(${name} PRIVATE BCAM_TEST_DATA="${CMAKE_SOURCE_DIR}/tests" BCAM_SHARED_DATA="${BCAM_SHARED_DATA}"
                               BCAM_SOURCE_DIR="${CMAKE_SOURCE_DIR}" BCAM_COMMAND="$<TARGET_FILE:batchcam_command>")
    bcam_standin_test(${name} COMMAND ${CMAKE_SOURCE_DIR}/tests/criterion.sh $<TARGET_FILE:${name}>)
endforeach()
