# Tests of the CUDA plug-in that need no card and nothing in its place. They link the very objects that the plug-in is made of.
set(cuda_objects $<TARGET_OBJECTS:bcam_cuda> ${kernel_objects})

# A driver that finds no device: cuDNN compiles for described cards only where one can be loaded.
add_library(bcam_no_device SHARED ${CMAKE_CURRENT_SOURCE_DIR}/emu/fake_cuda.c)
set_target_properties(bcam_no_device PROPERTIES OUTPUT_NAME cuda SOVERSION 1 LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/no_device
                      C_VISIBILITY_PRESET default)

foreach(what host pairs) # pairs needs a card and says so
    add_executable(test_cuda_${what} ${CMAKE_CURRENT_SOURCE_DIR}/cuda/test_${what}.c ${cuda_objects})
    target_link_libraries(test_cuda_${what} PRIVATE bcam_flags bcam_cuda_headers ${cuda_libraries} bcam_test_flags)
    set_target_properties(test_cuda_${what} PROPERTIES BUILD_RPATH "${cuda_rpath}")
    bcam_test(test_cuda_${what} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/criterion.sh $<TARGET_FILE:test_cuda_${what}>)
endforeach()

add_executable(cuda_plans ${CMAKE_CURRENT_SOURCE_DIR}/cuda/plans.c ${cuda_objects})
target_link_libraries(cuda_plans PRIVATE bcam_run bcam_cuda_headers ${cuda_libraries} PkgConfig::CJSON)
set_target_properties(cuda_plans PROPERTIES BUILD_RPATH "${cuda_rpath}")
bcam_test(cuda_plans COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/cuda/plans.sh $<TARGET_FILE:cuda_plans> ${CMAKE_BINARY_DIR}/no_device)

# What gpu-check.sh runs on a card. The golden networks are a test here, too: skipped where there is no card (ctest -L gpu).
add_executable(test_cuda_card ${CMAKE_CURRENT_SOURCE_DIR}/cuda/test_card.c)
target_link_libraries(test_cuda_card PRIVATE bcam_run bcam_test_flags)
add_dependencies(test_cuda_card batchcam_cuda)
target_include_directories(test_cuda_card PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(test_cuda_card PRIVATE BCAM_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}" BCAM_SHARED_DATA="${BCAM_SHARED_DATA}")
bcam_test(test_cuda_card COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/criterion.sh $<TARGET_FILE:test_cuda_card>)
set_property(TEST ${prefix}test_cuda_card APPEND PROPERTY ENVIRONMENT "BATCHCAM_PLUGIN=$<TARGET_FILE:batchcam_cuda>")
set_tests_properties(${prefix}test_cuda_card ${prefix}test_cuda_pairs PROPERTIES LABELS gpu)
foreach(what own_kernels card_json plan_carry)
    add_executable(cuda_${what} ${CMAKE_CURRENT_SOURCE_DIR}/cuda/${what}.c ${cuda_objects})
    target_link_libraries(cuda_${what} PRIVATE bcam_check bcam_cpu bcam_flags bcam_cuda_headers ${cuda_libraries} PkgConfig::CJSON)
    set_target_properties(cuda_${what} PROPERTIES BUILD_RPATH "${cuda_rpath}")
endforeach()

if(NOT BCAM_SANITIZE)
    bcam_test(cuda_plugin COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/cuda/plugin.sh $<TARGET_FILE:batchcam_cuda>)
endif()
