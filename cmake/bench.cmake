# Programs that measure (bench/), built with -DBCAM_BUILD_BENCH=ON. What they say is only worth something in a Release build.
#   bench_net        any network on any device
#   bench_verbs      the CPU's verbs alone, and what the machine can do at most
#   bench_decode     photos to the bytes and numbers that a network takes
#   bench_steps      on a card: the time of each step
#   bench_ceiling    on a card: what the machine can do at most
#   bench_cam        on a card: the last kernels alone
set(bench ${CMAKE_SOURCE_DIR}/bench)
add_library(bcam_bench OBJECT ${bench}/bench.c ${bench}/bench_plan.c)
target_include_directories(bcam_bench PUBLIC ${bench})
target_link_libraries(bcam_bench PUBLIC bcam_run)
add_executable(bench_net ${bench}/bench_net.c)
target_link_libraries(bench_net PRIVATE bcam_bench)
add_executable(bench_verbs ${bench}/bench_verbs.c ${bench}/bench_cases.c ${bench}/bench_peak.c)
target_link_libraries(bench_verbs PRIVATE bcam_bench)
add_executable(bench_decode ${bench}/bench_decode.c)
target_link_libraries(bench_decode PRIVATE bcam_bench)

if(TARGET bcam_cuda)
    add_library(bcam_bench_cuda OBJECT ${bench}/bench_cuda.c)
    target_link_libraries(bcam_bench_cuda PUBLIC bcam_bench bcam_cuda_headers)
    foreach(name steps ceiling cam)
        add_executable(bench_${name} ${bench}/bench_${name}.c $<TARGET_OBJECTS:bcam_cuda> ${kernel_objects})
        target_link_libraries(bench_${name} PRIVATE bcam_bench bcam_bench_cuda bcam_run bcam_cuda_headers ${cuda_libraries})
        set_target_properties(bench_${name} PROPERTIES BUILD_RPATH "${cuda_rpath}")
    endforeach()
endif()
