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

note 'layers, methods, devices'
run "$model" "$photos" -o out --layer stag3
run "$model" "$photos" -o out --layer qwertyuiop
run "$model" "$photos" -o out --method gradcamm
run "$model" "$photos" -o out --device abacus
BATCHCAM_PLUGIN=nothere.so run "$model" "$photos" -o out --device cuda
run "$model" "$photos" -o out --device cuda:x
run "$model" "$photos" -o out --device cpu --precision tf32

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

note 'output folders'
run "$model" "$photos" -o nothere/out --limit 2
touch file
run "$model" "$photos" -o file
mkdir mine
echo precious >mine/letter.txt
run "$model" "$photos" -o mine
run "$model" "$photos" -o mine --overwrite
cat mine/letter.txt

note 'after all these failures there is no run'
ls out 2>&1
