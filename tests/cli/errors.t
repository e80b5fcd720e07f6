run() {
    try run "$@" --quiet
}
model=$data/model.onnx
photos=$data/photos

note 'models'
run nothere.onnx "$photos" -o out
echo 'not a model' >text.onnx
run text.onnx "$photos" -o out
run nothere.onnx "$photos" -o out --json
head -c 5000 "$model" >cut.onnx
run cut.onnx "$photos" -o out
run "$photos" "$model" -o out
mkfifo pipe.onnx
run pipe.onnx "$photos" -o out
run "$photos/boat/boat-00.jpg" "$model" -o out

note 'layers, methods, devices'
run "$model" "$photos" -o out --layer stag3
run "$model" "$photos" -o out --layer qwertyuiop
run "$model" "$photos" -o out --method gradcamm
run "$model" "$photos" -o out --device abacus
BATCHCAM_PLUGIN=nothere.so run "$model" "$photos" -o out --device cuda
run "$model" "$photos" -o out --device cuda:x
run "$model" "$photos" -o out --device cpu --precision tf32
DNNL_MAX_CPU_ISA=AVX2 run "$model" "$photos" -o out --device cpu --precision bf16

note 'what is explained'
run "$model" "$photos" -o out --output logit
run "$model" "$photos" -o out --score probability --activation none
scores=$data/../tests/golden_score
run "$scores/two_heads/model.onnx" "$photos" -o out --output hue
run "$scores/binary_sigmoid/model.onnx" "$photos" -o out --activation softmax
echo ill >one.txt
run "$scores/binary_sigmoid/model.onnx" "$photos" -o out --names one.txt

note 'classes'
run "$model" "$photos" -o out --target yatch
run "$model" "$photos" -o out --target 6
run "$model" "$photos" -o out --target top0
run "$model" "$photos" -o all --limit 2 --target top7
run "$model" "$photos" -o out --names nothere.txt
printf 'balloon\nboat\n' >short.txt
run "$model" "$photos" -o out --names short.txt
printf 'file,class\nboat/boat-00.jpg,boat\nboat/nothere.jpg,boat\n' >classes.csv
run "$model" "$photos" -o out --target classes.csv
printf 'file,class\nboat/boat-00.jpg,submarine\n' >classes.csv
run "$model" "$photos" -o out --target classes.csv
run "$model" "$photos" -o out --target nothere.csv

note 'preprocessing'
run "$model" "$photos" -o out --preset torchvison
run "$model" "$photos" -o out --preprocess nothere.json
echo '{"sharpen": true}' >odd.json
run "$model" "$photos" -o out --preprocess odd.json

note 'photos'
run "$model" nothere -o out
run "$model" nothere.csv -o out
mkdir nophotos
run "$model" nophotos -o out
mkdir odd
touch odd/empty.jpg
echo hello >odd/text.jpg
head -c 2000 "$photos/boat/boat-00.jpg" >odd/cut.jpg
ln -s nowhere.jpg odd/missing.jpg
mkfifo odd/pipe.jpg
cp "$photos/boat/boat-00.jpg" odd/wide.jpg
run "$model" odd -o odd-out --max-pixels 1000
run "$model" odd/text.jpg "$photos/boat/boat-00.jpg" -o odd-out-2

note 'output folders'
run "$model" "$photos" -o nothere/out --limit 2
touch file
run "$model" "$photos" -o file
mkdir mine
echo precious >mine/letter.txt
run "$model" "$photos" -o mine
run "$model" "$photos" -o mine --overwrite
cat mine/letter.txt

note 'a disk that fills'
(ulimit -f 64 && run "$model" "$photos" -o full)
run "$model" "$photos" -o full --overwrite --limit 2

note 'after all these failures there is no run'
ls out 2>&1
