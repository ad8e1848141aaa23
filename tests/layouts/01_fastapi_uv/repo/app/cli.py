def main() -> None:
    print("imported")


if __name__ == "__main__":
    main()
