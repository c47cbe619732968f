"""What the names of folders say: which are splits, which hold everything, which are no classes."""

import re

SPLIT_WORDS = {
    "train": "train training trains trn trainset trainingset",
    "holdout": "holdout heldout val valid validation validate valset validset validationset dev "
    "devel devset",
    "test": "test testing tests tst testset testingset",
    "eval": "eval evaluation evalset",  # holdout or test: what it is, the folders beside it say
}
OF_WORD = {word: split for split, words in SPLIT_WORDS.items() for word in words.split()}
UNLABELLED = {
    "pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "unsup",
    "unsupervised", "submission", "inference", "unknown",
}  # fmt: skip
PLAIN_IMAGES = {
    "image", "images", "img", "imgs", "jpg", "jpgs", "jpeg", "jpegs", "png", "pngs", "jpegimages",
    "picture", "pictures", "pics", "photo", "photos", "frames", "data", "dataset", "input",
    "inputs",
}  # fmt: skip
MASKS = {
    "mask", "masks", "label", "labels", "annotation", "annotations", "segmentation",
    "segmentations", "segmentationclass", "segmentationobject", "segmentationmask", "groundtruth",
    "gt", "trimaps", "bbox",
}  # fmt: skip
PARTS_OF_ALL = {"part", "parts", "batch", "chunk", "shard", "fold", "subset"}
DATE = re.compile(r"(?<!\d)(19|20)\d\d([-_. ]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d{1,3}$)")
FOLD = re.compile(r"(cv|k?[-_ ]?folds?)[-_ ]*\d+", re.IGNORECASE)
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def split_word(name: str) -> str | None:
    """The split that a name says, "train", "holdout", "test" or "eval"; None for no or several
    such words in it: ``seg_train``, ``Train_images``, ``val2017`` and ``testA`` say one."""
    whole = re.sub(r"[^a-z]", "", name.lower())
    if whole in OF_WORD:
        return OF_WORD[whole]
    found = {OF_WORD[word] for word in words_of(name) if word in OF_WORD}
    return found.pop() if len(found) == 1 else None


def words_of(name: str) -> list[str]:
    """The words of a name in small letters: ``TrainImages_2`` has train and images."""
    return [word.lower() for word in PARTS.findall(name)]


def is_unlabelled(name: str) -> bool:
    """Whether a name says that classes aren't known."""
    return not UNLABELLED.isdisjoint(words_of(name))


def is_plain(name: str) -> bool:
    """Whether a name says no more than "images": no class is called so."""
    return stem(name) in PLAIN_IMAGES


def is_mask(name: str) -> bool:
    """Whether a name says that pictures of labels are inside."""
    return stem(name) in MASKS


def is_part(name: str) -> bool:
    """Whether a name is that of a part of all images, such as images_001 or batch2."""
    return not (PLAIN_IMAGES | PARTS_OF_ALL).isdisjoint(words_of(name))


def stem(name: str) -> str:
    """The letters of a name, small."""
    return "".join(mark for mark in name.lower() if mark.isalpha())


def is_date(name: str) -> bool:
    """Whether a name is a day or a time, such as 2024-05-01_12-30."""
    return DATE.search(name) is not None


def is_fold(name: str) -> bool:
    """Whether a name is that of a fold of a cross-validation."""
    return FOLD.fullmatch(name) is not None
